import copy
import gc
import pickle

import pytest
import torch
from peers import draw_weights, transformers_warnings
from transformers import modeling_utils

from sam2_hf import Sam2Model, Sam2VideoModel
from sam2_hf.model import pretrained
from tests.drawn_video import drawn_video_model
from tests.small_checkpoint import small_config

FREQUENCIES = (
    "shared_image_embedding.positional_embedding",
    "prompt_encoder.shared_embedding.positional_embedding",
)


def backend_of_each_part(model):
    """The attention backend that every module with a config would use."""
    return {
        name.split(".")[0]: module.config._attn_implementation
        for name, module in model.named_modules()
        if hasattr(module, "config")
    }


def all_parts(backend):
    return dict.fromkeys(["", "vision_encoder", "mask_decoder"], backend)


@pytest.fixture
def saved(drawn_model, tmp_path):
    drawn_model.save_pretrained(tmp_path)
    return tmp_path


def test_a_saved_model_comes_back_bit_by_bit(drawn_model, saved):
    loaded = Sam2Model.from_pretrained(saved)

    assert not loaded.training
    expected = drawn_model.state_dict()
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[name]) for name, value in loaded.state_dict().items())


def test_loading_reports_no_missing_and_no_unexpected_weight(saved):
    with transformers_warnings() as messages:
        _, report = Sam2Model.from_pretrained(saved, output_loading_info=True)

    assert not any(report.values())
    assert messages == []


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_fourier_frequencies_stay_exact_in_a_model_loaded_in_half_precision(
    drawn_model, saved, dtype
):
    loaded = Sam2Model.from_pretrained(saved, dtype=dtype)

    expected = drawn_model.state_dict()
    assert all(torch.equal(loaded.state_dict()[name], expected[name]) for name in FREQUENCIES)
    kept = {name for name, value in loaded.state_dict().items() if value.dtype != dtype}
    assert kept == set(FREQUENCIES)


def test_a_model_saved_in_half_precision_still_holds_exact_frequencies(drawn_model, tmp_path):
    copy.deepcopy(drawn_model).bfloat16().save_pretrained(tmp_path)

    loaded = Sam2Model.from_pretrained(tmp_path)

    assert loaded.dtype == torch.bfloat16
    expected = drawn_model.state_dict()
    assert all(torch.equal(loaded.state_dict()[name], expected[name]) for name in FREQUENCIES)


def test_a_model_made_without_memory_gets_every_weight_and_buffer_later(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.prompt_encoder_config.scale = 3
    with torch.device("meta"):
        model = Sam2Model(config)

    model.to_empty(device="cpu")
    for tensor in model.state_dict().values():
        tensor.fill_(torch.nan)
    model.init_weights()

    assert not [name for name, value in model.state_dict().items() if value.isnan().any()]
    for name in FREQUENCIES:  # 32 draws lie this close to their deviation
        assert model.state_dict()[name].std().item() == pytest.approx(3, rel=0.5)
    assert not model.vision_encoder.backbone.pos_embed.any()
    assert not model.no_memory_embedding.any()


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_fresh_model_places_prompts_and_pictures_by_the_same_frequencies(kind, tiny_config):
    model = Sam2Model(tiny_config) if kind == "image" else Sam2VideoModel(small_config())

    picture, prompts = (model.state_dict()[name] for name in FREQUENCIES)
    assert picture.any()
    assert torch.equal(picture, prompts)


@pytest.mark.parametrize("kind", ["image", "video"])
def test_frequencies_of_a_checkpoint_stay_as_they_are_there(kind, drawn_model, tmp_path):
    model = drawn_model if kind == "image" else drawn_video_model()
    weights = model.state_dict()
    for place, name in enumerate(FREQUENCIES, start=1):
        weights[name] = torch.full_like(weights[name], float(place))
    model.save_pretrained(tmp_path, state_dict=weights)

    loaded = type(model).from_pretrained(tmp_path)

    found = [loaded.state_dict()[name].unique().tolist() for name in FREQUENCIES]
    assert found == [[1.0], [2.0]]


def test_first_weights_have_the_deviation_of_the_config(tiny_config):
    config = copy.deepcopy(tiny_config)
    config.vision_config.backbone_config.initializer_range = 0.5
    config.initializer_range = 0.1

    model = Sam2Model(config)

    qkv = model.vision_encoder.backbone.blocks[2].attn.qkv
    hidden = model.mask_decoder.transformer.layers[0].mlp.proj_in
    assert qkv.weight.std().item() == pytest.approx(0.5, rel=0.1)
    assert hidden.weight.std().item() == pytest.approx(0.1, rel=0.1)
    assert not qkv.bias.any()


def test_weights_a_checkpoint_left_out_are_drawn_and_reported(drawn_model, tmp_path):
    weights = drawn_model.state_dict()
    left_out = "mask_decoder.iou_token.weight"
    del weights[left_out]
    drawn_model.save_pretrained(tmp_path, state_dict=weights)

    with transformers_warnings() as messages:
        loaded, report = Sam2Model.from_pretrained(tmp_path, output_loading_info=True)

    assert set(report["missing_keys"]) == {left_out}
    assert left_out in "".join(messages)
    assert loaded.state_dict()[left_out].isfinite().all()


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_a_backend_asked_for_while_loading_reaches_every_part(saved, backend):
    loaded = Sam2Model.from_pretrained(saved, attn_implementation=backend)

    assert backend_of_each_part(loaded) == all_parts(backend)


def test_sdpa_is_what_one_gets_without_asking(tiny_config):
    assert backend_of_each_part(Sam2Model(copy.deepcopy(tiny_config))) == all_parts("sdpa")


def test_backends_by_part_reach_the_parts_of_a_model(saved):
    wanted = {"": "sdpa", "vision_config": "eager", "mask_decoder_config": "sdpa"}

    loaded = Sam2Model.from_pretrained(saved, attn_implementation=wanted)

    assert backend_of_each_part(loaded) == all_parts("sdpa") | {"vision_encoder": "eager"}


def test_a_later_change_of_the_backend_reaches_every_part(drawn_model):
    model = copy.deepcopy(drawn_model)

    model.set_attn_implementation("eager")
    assert backend_of_each_part(model) == all_parts("eager")

    model.set_attn_implementation({"": "eager", "vision_config": "sdpa"})
    assert backend_of_each_part(model) == all_parts("eager") | {"vision_encoder": "sdpa"}


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))]
)
def test_copies_and_pickles_answer_alike_and_are_independent(
    drawn_model, pictures, clicks, duplicate
):
    model = copy.deepcopy(drawn_model)
    with torch.no_grad():
        before = model(pictures, **clicks).pred_masks  # fills the tables that are kept

        twin = duplicate(model)
        draw_weights(model, seed=9)

        assert torch.equal(twin(pictures, **clicks).pred_masks, before)
        assert not torch.equal(model(pictures, **clicks).pred_masks, before)


def gradients(model, pictures, clicks):
    model.zero_grad()
    answer = model(pictures, **clicks)
    (answer.pred_masks.square().mean() + answer.iou_scores.sum()).backward()
    named = model.named_parameters()
    return {name: weight.grad.clone() for name, weight in named if weight.grad is not None}


def test_gradient_checkpointing_changes_no_gradient(drawn_model, pictures, clicks):
    model = copy.deepcopy(drawn_model).train()
    plain = gradients(model, pictures, clicks)

    model.activation_checkpointing_enable()
    checkpointed = gradients(model, pictures, clicks)
    model.activation_checkpointing_disable()

    assert checkpointed.keys() == plain.keys()
    assert all(torch.equal(checkpointed[name], gradient) for name, gradient in plain.items())
    assert gradients(model, pictures, clicks).keys() == plain.keys()


@pytest.mark.parametrize("enabled", [True, False])
def test_gradient_checkpointing_computes_blocks_a_second_time(
    drawn_model, pictures, clicks, enabled
):
    model = copy.deepcopy(drawn_model).train()
    layers = (model.vision_encoder.backbone.blocks[0], model.mask_decoder.transformer.layers[0])
    runs = []
    for layer in layers:
        layer.mlp.register_forward_pre_hook(lambda module, _: runs.append(module))
    if enabled:
        model.activation_checkpointing_enable()

    gradients(model, pictures, clicks)

    assert [runs.count(layer.mlp) for layer in layers] == ([2, 2] if enabled else [1, 1])


def test_garbage_is_collected_during_a_download_but_not_while_a_model_is_built(saved, monkeypatch):
    enabled = {}

    def watched(name, ordinary):
        def watch(*args, **kwargs):
            enabled[name] = gc.isenabled()
            return ordinary(*args, **kwargs)

        return watch

    downloads = modeling_utils._get_resolved_checkpoint_files
    monkeypatch.setattr(
        modeling_utils, "_get_resolved_checkpoint_files", watched("download", downloads)
    )
    monkeypatch.setattr(Sam2Model, "__init__", watched("building", Sam2Model.__init__))
    monkeypatch.setattr(pretrained, "assign_weights", watched("loading", pretrained.assign_weights))

    Sam2Model.from_pretrained(saved)

    assert enabled == {"download": True, "building": False, "loading": False}
    assert gc.isenabled()
