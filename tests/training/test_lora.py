import sys

import peft
import pytest
import torch
from safetensors.torch import load_file

from sam2_hf.errors import MissingPackageError, TrainingError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.training.checkpointing import snapshot
from sam2_hf.training.config import LoraConfig
from sam2_hf.training.lora import add_adapters, merge_adapters, write_adapters
from tests.drawn_video import own_video_model, pixel_values
from tests.training.small_runs import settings, tensors_of, train

pytestmark = pytest.mark.usefixtures("one_thread")

CLOSE = 1e-5  # merging adds in another order


def with_drawn_adapters(config=None):
    """A model whose adapters do something, and its config."""
    config = config or LoraConfig(rank=2, alpha=6.0)
    model = own_video_model()
    add_adapters(model, config, seed=0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return model.eval(), config


def embedding(model):
    with torch.no_grad():
        return model.encode_image(pixel_values()).embedding_bchw


def test_adapters_begin_as_no_change_and_learn_alone():
    model = own_video_model()
    before = embedding(model)

    add_adapters(model, LoraConfig(also=("mask_decoder.iou_token.*",), merge=True), seed=0)

    assert embedding(model).equal(before)
    learning = {name for name, p in model.named_parameters() if p.requires_grad}
    assert "mask_decoder.iou_token.weight" in learning
    assert all("lora_" in name for name in learning - {"mask_decoder.iou_token.weight"})


def test_a_snapshot_has_the_adapters_merged_under_the_names_of_a_plain_model():
    model, _ = with_drawn_adapters()

    plain = snapshot(model)

    assert plain.state_dict().keys() == own_video_model().state_dict().keys()
    assert (embedding(plain) - embedding(model)).abs().max() < CLOSE
    assert (embedding(plain) - embedding(own_video_model())).abs().max() > 100 * CLOSE


def test_a_model_without_adapters_merges_to_itself():
    weights = own_video_model().state_dict()

    merged = merge_adapters(own_video_model(), weights)

    assert all(merged[name] is tensor for name, tensor in weights.items())


def test_saved_adapters_load_into_the_model_they_belong_to(tmp_path):
    model, config = with_drawn_adapters()
    write_adapters(model.state_dict(), tmp_path / "adapter", config, base="me/base")

    other = own_video_model()
    other.load_adapter(str(tmp_path / "adapter"))

    assert embedding(other.eval()).equal(embedding(model))
    assert (
        peft.PeftConfig.from_pretrained(tmp_path / "adapter").base_model_name_or_path == "me/base"
    )


def test_a_run_saves_its_adapters_apart(world):
    run = train(settings(world, steps=2, lora={"rank": 2}))

    assert sorted(path.name for path in (run / "last").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    adapters = load_file(run / "last" / "adapter_model.safetensors")
    assert all("lora" in name for name in adapters)
    assert any(tensor.abs().max() > 0 for name, tensor in adapters.items() if "lora_B" in name)


def test_a_run_saves_a_merged_model_on_request(world):
    run = train(settings(world, steps=2, lora={"rank": 2, "merge": True}))

    merged = Sam2VideoModel.from_pretrained(run / "last").state_dict()
    base = Sam2VideoModel.from_pretrained(world / "model").state_dict()
    moved = {name for name in base if not merged[name].equal(base[name])}
    assert moved == {n for n in base if n.endswith(("attn.qkv.weight", "attn.proj.weight"))}
    assert (run / "last" / "adapter" / "adapter_model.safetensors").is_file()


def test_a_run_with_adapters_goes_on_with_equal_bits(world):
    whole = train(settings(world, "whole", lora={"rank": 2, "dropout": 0.1}))
    train(settings(world, "parts", lora={"rank": 2, "dropout": 0.1}))
    for file in (world / "parts" / "checkpoints" / "step-00000004").iterdir():
        file.unlink()
    (world / "parts" / "checkpoints" / "step-00000004").rmdir()

    parts = train(settings(world, "parts", lora={"rank": 2, "dropout": 0.1}), resume=True)

    one, other = tensors_of(whole, 4), tensors_of(parts, 4)
    assert all(one[name].equal(other[name]) for name in one)


def test_a_layer_that_does_not_exist_is_refused_with_those_that_do():
    with pytest.raises(TrainingError, match=r"lora\.targets has 'to_q'.*attn\.qkv"):
        add_adapters(own_video_model(), LoraConfig(targets=("to_q",)), seed=0)


def test_a_missing_peft_is_named_with_the_way_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)

    with pytest.raises(MissingPackageError, match=r"sam2-hf\[train\]"):
        add_adapters(own_video_model(), LoraConfig(), seed=0)
