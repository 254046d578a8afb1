"""Whose weights a checkpoint holds, in every format that loads."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.modeling_utils import PreTrainedModel

from sam2_hf import CheckpointError, Sam2HieraDetModel, Sam2Model, Sam2VideoModel, Sam2VisionModel
from sam2_hf.model.checkpoints.fitting_weights import HOLDERS, names_in_model
from sam2_hf.model.checkpoints.original_checkpoint import read_original
from tests.small_checkpoint import small_config, small_original

IOU_TOKEN = "mask_decoder.iou_token.weight"
BEGINNINGS = ("module.", "_orig_mod.", "model.", "module._orig_mod.", "model.sam2.", "ema.module.")


@pytest.fixture(scope="module")
def video_model():
    torch.manual_seed(0)
    return Sam2VideoModel(small_config()).eval()


@pytest.fixture
def folder(video_model, tmp_path):
    video_model.save_pretrained(tmp_path)
    return tmp_path


def change(folder, rewrite):
    """Rewrite the weights of a folder."""
    path = folder / "model.safetensors"
    save_file(rewrite(load_file(path)), path, metadata={"format": "pt"})


def assert_equal_weights(found, expected):
    wanted = expected.state_dict()
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in found.state_dict().items())


@pytest.mark.parametrize("beginning", BEGINNINGS)
@pytest.mark.parametrize("kind", [Sam2Model, Sam2VideoModel])
def test_what_wrappers_put_before_the_names_is_taken_off(folder, video_model, kind, beginning):
    change(folder, lambda weights: {beginning + name: w for name, w in weights.items()})

    loaded, report = kind.from_pretrained(folder, output_loading_info=True)

    assert_equal_weights(loaded, video_model)
    assert not report["missing_keys"]


def test_a_wrapper_around_a_part_is_taken_off(folder, video_model):
    def compiled_part(weights):
        inside = "vision_encoder._orig_mod."
        return {name.replace("vision_encoder.", inside): w for name, w in weights.items()}

    change(folder, compiled_part)

    assert_equal_weights(Sam2VideoModel.from_pretrained(folder), video_model)


def test_a_model_saved_again_has_plain_names(folder, tmp_path):
    change(folder, lambda weights: {f"module.{name}": w for name, w in weights.items()})

    Sam2Model.from_pretrained(folder).save_pretrained(tmp_path / "again")

    assert IOU_TOKEN in load_file(tmp_path / "again" / "model.safetensors")


@pytest.mark.parametrize("as_shards", [False, True], ids=["safetensors", "shards"])
def test_wrapped_weights_load_from_every_file_that_transformers_writes(
    video_model, tmp_path, as_shards
):
    weights = {f"module.{name}": w for name, w in video_model.state_dict().items()}
    size = "300KB" if as_shards else "1GB"
    video_model.save_pretrained(tmp_path, state_dict=weights, max_shard_size=size)
    assert (tmp_path / "model.safetensors.index.json").exists() == as_shards

    assert_equal_weights(Sam2VideoModel.from_pretrained(tmp_path), video_model)


def test_wrapped_weights_load_from_a_pytorch_bin(folder, video_model):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save({f"module.{k}": w for k, w in weights.items()}, folder / "pytorch_model.bin")

    assert_equal_weights(Sam2VideoModel.from_pretrained(folder), video_model)


@pytest.mark.parametrize("kept", [b"", b"PK\x03\x04", b"\x80\x02}q\x00"])
def test_a_damaged_pytorch_bin_is_named(folder, kept):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(kept)

    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin"):
        Sam2VideoModel.from_pretrained(folder)


@pytest.mark.parametrize("kind", [Sam2Model, Sam2VideoModel])
@pytest.mark.parametrize("asks_for_report", [False, True])
def test_weights_of_another_network_are_refused(folder, kind, asks_for_report):
    change(folder, lambda _: {"layer1.weight": torch.ones(3, 3)})

    with pytest.raises(CheckpointError, match=r"missing \d+: .*unexpected 1: layer1\.weight"):
        kind.from_pretrained(folder, output_loading_info=asks_for_report)


@pytest.mark.parametrize("beginning", ["", "module."])
def test_half_of_the_weights_are_refused_by_name(folder, beginning):
    def half(weights):
        return {beginning + n: w for n, w in weights.items() if not n.startswith("mask_decoder")}

    change(folder, half)

    with pytest.raises(CheckpointError, match=r"missing \d+: mask_decoder\."):
        Sam2Model.from_pretrained(folder)


def test_a_weight_that_is_never_read_may_be_missing(folder):
    def without(weights):
        return {n: w for n, w in weights.items() if n != "no_memory_positional_encoding"}

    change(folder, without)

    Sam2VideoModel.from_pretrained(folder)


def test_weights_of_another_size_are_refused_by_name(folder):
    change(folder, lambda weights: weights | {IOU_TOKEN: torch.zeros(1, 48)})

    with pytest.raises(CheckpointError, match=r"iou_token\.weight is \(1, 48\) instead of \(1, 32"):
        Sam2Model.from_pretrained(folder)
    with pytest.raises(RuntimeError):  # which programs written for transformers expect
        Sam2Model.from_pretrained(folder)


def test_weights_of_another_size_are_drawn_on_request(folder, video_model):
    change(folder, lambda weights: weights | {IOU_TOKEN: torch.zeros(1, 48)})

    loaded, report = Sam2Model.from_pretrained(
        folder, ignore_mismatched_sizes=True, output_loading_info=True
    )

    assert [name for name, *_ in report["mismatched_keys"]] == [IOU_TOKEN]
    assert loaded.mask_decoder.iou_token.weight.shape == (1, 32)


def test_two_models_in_one_file_are_refused(folder):
    def twice(weights):
        other = {f"ema_model.{name}": w.clone() for name, w in weights.items()}
        return other | {f"model.{name}": w for name, w in weights.items()}

    change(folder, twice)

    with pytest.raises(CheckpointError, match="holds two weights for"):
        Sam2Model.from_pretrained(folder)


@pytest.mark.parametrize("kind", [Sam2VisionModel, Sam2HieraDetModel])
def test_a_part_takes_its_weights_from_the_folder_of_the_whole(folder, video_model, kind):
    whole = video_model.vision_encoder

    part = kind.from_pretrained(folder)

    assert_equal_weights(part, whole if kind is Sam2VisionModel else whole.backbone)


def test_a_part_alone_is_no_whole_model(video_model, tmp_path):
    video_model.vision_encoder.save_pretrained(tmp_path)

    with pytest.raises(CheckpointError, match="Sam2Model"):
        Sam2Model.from_pretrained(tmp_path, config=small_config())


def test_names_of_a_callers_own_are_left_to_transformers(folder, video_model):
    change(folder, lambda weights: {f"mine.{name}": w for name, w in weights.items()})

    loaded = Sam2VideoModel.from_pretrained(folder, key_mapping={r"^mine\.": ""})

    assert_equal_weights(loaded, video_model)


WRAPPINGS = {
    "weights alone": lambda weights: weights,
    "state_dict": lambda weights: {"state_dict": weights, "epoch": 3},
    "model_state_dict": lambda weights: {"model_state_dict": weights, "optimizer": {}},
    "ema": lambda weights: {"ema": weights, "step": 1},
    "nested": lambda weights: {"state_dict": {"model": weights}},
    "first of two": lambda weights: {"ema": {"other.weight": torch.ones(1)}, "model": weights},
}


@pytest.mark.parametrize(
    ("kind", "beginning"),
    [
        *((kind, "") for kind in WRAPPINGS),
        ("weights alone", "module."),
        ("nested", "_orig_mod.module."),
        ("first of two", "module."),
    ],
)
def test_a_pt_loads_however_training_code_wrapped_it(tmp_path, kind, beginning):
    weights = {beginning + name: w for name, w in small_original().items()}
    torch.save(WRAPPINGS[kind](weights), tmp_path / "plain.pt")

    loaded = Sam2Model.from_pretrained(tmp_path / "plain.pt", config=small_config())

    wanted = small_original()["sam_mask_decoder.iou_token.weight"]
    assert torch.equal(loaded.mask_decoder.iou_token.weight, wanted)


@pytest.mark.parametrize("beginning", ["", "module."])
def test_a_pt_with_our_names_loads(video_model, tmp_path, beginning):
    weights = {beginning + name: w for name, w in video_model.state_dict().items()}
    torch.save({"state_dict": weights}, tmp_path / "ours.pt")

    loaded = Sam2VideoModel.from_pretrained(tmp_path / "ours.pt", config=small_config())

    assert_equal_weights(loaded, video_model)


def test_names_that_nobody_knows_stay_as_they_are():
    known = {"a.b"}.__contains__

    found = names_in_model(["module.a.b", "model.c", "n_averaged"], known)

    assert found == {"module.a.b": "a.b", "model.c": "model.c", "n_averaged": "n_averaged"}


def test_only_names_of_a_whole_sam_3_are_taken_for_its_encoder():
    known = {"vision_encoder.backbone.blocks.0.weight"}.__contains__
    inside = "detector_model.vision_encoder.backbone.blocks.0.weight"

    found = names_in_model(["blocks.0.weight", inside], known)

    assert found == {
        "blocks.0.weight": "blocks.0.weight",
        inside: "vision_encoder.backbone.blocks.0.weight",
    }


def half_of(weights):
    return {name: w for name, w in weights.items() if not name.startswith("mask_decoder")}


def test_half_of_the_weights_are_refused_whatever_names_the_caller_maps(folder):
    change(folder, half_of)

    with pytest.raises(CheckpointError, match=r"missing \d+: mask_decoder\."):
        Sam2VideoModel.from_pretrained(folder, key_mapping={"^foo": "bar"})
    _, report = Sam2VideoModel.from_pretrained(
        folder, key_mapping={"^foo": "bar"}, output_loading_info=True
    )
    assert all(name.startswith("mask_decoder") for name in report["missing_keys"])


@pytest.mark.parametrize("keep", [half_of, lambda _: {}], ids=["half", "nothing"])
def test_half_of_a_state_dict_is_refused(video_model, keep):
    weights = keep(video_model.state_dict())

    with pytest.raises(CheckpointError, match=r"missing \d+: "):
        Sam2VideoModel.from_pretrained(None, config=video_model.config, state_dict=weights)
    _, report = Sam2VideoModel.from_pretrained(
        None, config=video_model.config, state_dict=weights, output_loading_info=True
    )
    assert report["missing_keys"]


def test_a_whole_state_dict_loads(video_model):
    weights = {f"module.{name}": w for name, w in video_model.state_dict().items()}

    loaded = Sam2VideoModel.from_pretrained(None, config=video_model.config, state_dict=weights)

    assert_equal_weights(loaded, video_model)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("options", [{}, {"key_mapping": {"^foo": "bar"}}])
def test_weights_that_are_no_numbers_are_refused_by_name(folder, value, options):
    def with_one(weights):
        weights[IOU_TOKEN][0, 3] = value
        return weights

    change(folder, with_one)

    with pytest.raises(CheckpointError, match=r"not finite numbers: .* 1: mask_decoder\.iou_token"):
        Sam2Model.from_pretrained(folder, **options)


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.float8_e4m3fn])
def test_quantized_weights_without_a_quantization_config_are_refused_by_name(folder, dtype):
    change(folder, lambda weights: weights | {IOU_TOKEN: weights[IOU_TOKEN].to(dtype)})

    with pytest.raises(CheckpointError, match=r"quantized 1: mask_decoder\.iou_token"):
        Sam2Model.from_pretrained(folder)


def test_weights_of_another_size_are_our_error_also_under_mapped_names(folder):
    change(folder, lambda weights: weights | {IOU_TOKEN: torch.zeros(1, 48)})

    with pytest.raises(CheckpointError, match=r"iou_token\.weight is \(1, 48\) instead of"):
        Sam2Model.from_pretrained(folder, key_mapping={"^foo": "bar"})


@pytest.mark.parametrize("wrap", WRAPPINGS.values(), ids=WRAPPINGS)
def test_a_pytorch_bin_loads_however_training_code_wrapped_it(folder, video_model, wrap):
    (folder / "model.safetensors").unlink()
    torch.save(wrap(video_model.state_dict()), folder / "pytorch_model.bin")

    assert_equal_weights(Sam2VideoModel.from_pretrained(folder), video_model)
    mapped = Sam2VideoModel.from_pretrained(folder, key_mapping={"^foo": "bar"})
    assert_equal_weights(mapped, video_model)


@pytest.mark.parametrize("content", [[1], {"model": {}}, {"epoch": 1}, torch.ones(2)])
def test_a_pytorch_bin_without_named_weights_is_refused(folder, content):
    (folder / "model.safetensors").unlink()
    torch.save(content, folder / "pytorch_model.bin")

    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin holds"):
        Sam2VideoModel.from_pretrained(folder)


@pytest.mark.parametrize("name", HOLDERS)
def test_one_table_says_which_names_hold_weights_in_files_and_before_names(tmp_path, name):
    weights = small_original()
    torch.save({name: weights}, tmp_path / "entry.pt")
    torch.save({f"{name}.{key}": w for key, w in weights.items()}, tmp_path / "before.pt")

    for file in ("entry.pt", "before.pt"):
        assert read_original(tmp_path / file).keys() == weights.keys()


def test_an_original_whose_training_diverged_is_refused(tmp_path):
    weights = {name: w * torch.nan for name, w in small_original().items()}
    torch.save({"model": weights}, tmp_path / "x.pt")

    with pytest.raises(CheckpointError, match=r"x\.pt holds weights that are not finite numbers"):
        Sam2Model.from_pretrained(tmp_path / "x.pt", config=small_config())


def refuse_to_load(*_args, **_kwargs):
    raise AssertionError("transformers' loader was called")


@pytest.mark.parametrize("kind", [Sam2Model, Sam2VideoModel])
def test_weights_that_fit_are_assigned_without_transformers_loader(
    folder, video_model, kind, monkeypatch
):
    monkeypatch.setattr(PreTrainedModel, "_load_pretrained_model", refuse_to_load)

    loaded, report = kind.from_pretrained(folder, output_loading_info=True)

    assert_equal_weights(loaded, video_model)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert all(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.parametrize("change_of", ["dtype", "shape", "name"])
def test_weights_that_do_not_fit_as_they_are_go_through_transformers_loader(
    folder, monkeypatch, change_of
):
    changes = {
        "dtype": lambda weights: {name: weight.double() for name, weight in weights.items()},
        "shape": lambda weights: weights | {IOU_TOKEN: torch.zeros(2, 7)},
        "name": lambda weights: weights | {"stray": torch.zeros(1)},
    }
    change(folder, changes[change_of])
    monkeypatch.setattr(PreTrainedModel, "_load_pretrained_model", refuse_to_load)

    with pytest.raises(AssertionError, match="loader was called"):
        Sam2VideoModel.from_pretrained(folder)


def test_finite_weights_whose_squares_overflow_are_loaded(folder):
    change(folder, lambda weights: weights | {IOU_TOKEN: torch.full_like(weights[IOU_TOKEN], 3e30)})

    loaded = Sam2VideoModel.from_pretrained(folder)

    assert (loaded.mask_decoder.iou_token.weight == 3e30).all()
