"""`pipeline` with the arguments of transformers' one: same meaning, refused before loading."""

import numpy as np
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

import sam2_hf
from sam2_hf import (
    CheckpointError,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    PromptError,
    Sam2Error,
    Sam2Model,
    Sam2Processor,
    Sam2VideoModel,
    Sam2VideoProcessor,
)
from sam2_hf.errors import OptionError
from sam2_hf.pipelines import loading
from tests.small_checkpoint import save_original, small_config

QUICK = {"points_per_side": 2}


class Own(MaskGenerationPipeline):
    """A caller's class."""


@pytest.fixture
def no_loading(monkeypatch):
    """Weights must not be loaded."""
    for kind in (Sam2Model, Sam2VideoModel):
        monkeypatch.setattr(kind, "from_pretrained", lambda *_, **__: pytest.fail("weights loaded"))


@pytest.fixture
def loaded_with(monkeypatch):
    """What `Sam2Model.from_pretrained` and the image processor's are called with."""
    calls = {}
    for name, kind in (("model", Sam2Model), ("processor", sam2_hf.Sam2ImageProcessor)):
        original = kind.from_pretrained

        def noted(*positional, _name=name, _original=original, **named):
            calls[_name] = named
            return _original(*positional, **named)

        monkeypatch.setattr(kind, "from_pretrained", noted)
    return calls


@pytest.mark.parametrize(
    "arguments",
    [
        {"token": None},
        {"token": False},
        {"token": "hf_x"},
        {"revision": "main"},
        {"trust_remote_code": False},
        {"trust_remote_code": True},
        {"use_fast": True},
        {"framework": "pt"},
        {"model_kwargs": {}},
        {"model_kwargs": None},
        {"model_kwargs": {"attn_implementation": "eager"}},
        {"tokenizer": None},
        {"local_files_only": True},
        {"batch_size": 2, "num_workers": 0},
        {"timeout": 3.5},
        {"code_revision": None},
        {"device": -1},
        {"device": torch.device("cpu")},
        {"device_map": "auto"},
        {"device_map": "cpu"},
        {"device_map": {"": "cpu"}},
        {"device_map": torch.device("cpu")},
        {"dtype": "auto"},
        {"dtype": "float32", "torch_dtype": torch.float32},
    ],
    ids=str,
)
def test_what_transformers_pipeline_takes_is_taken(saved_model, wide, arguments):
    made = sam2_hf.pipeline("mask-generation", model=saved_model, **QUICK, **arguments)

    assert made.model.device == torch.device("cpu")
    assert len(made(wide)) >= 0


@pytest.mark.parametrize(
    "arguments",
    [
        {"dtype": "bfloat16"},
        {"torch_dtype": "bfloat16"},
        {"torch_dtype": torch.bfloat16},
        {"model_kwargs": {"dtype": torch.bfloat16}},
        {"model_kwargs": {"torch_dtype": "bfloat16"}},
        {"dtype": "bfloat16", "device_map": "auto"},
    ],
    ids=str,
)
@pytest.mark.parametrize("is_loaded", [False, True])
def test_a_dtype_has_two_names_and_two_places(saved_model, arguments, is_loaded):
    model = Sam2Model.from_pretrained(saved_model) if is_loaded else saved_model
    if is_loaded and "model_kwargs" in arguments:
        arguments = arguments["model_kwargs"]

    assert sam2_hf.pipeline("mask-generation", model, **arguments).model.dtype == torch.bfloat16


def test_auto_is_the_dtype_that_weights_were_saved_in(saved_model, tmp_path):
    Sam2Model.from_pretrained(saved_model, dtype=torch.bfloat16).save_pretrained(tmp_path / "half")

    assert sam2_hf.pipeline("mask-generation", tmp_path / "half").model.dtype == torch.float32
    half = sam2_hf.pipeline("mask-generation", tmp_path / "half", dtype="auto").model
    assert half.dtype == torch.bfloat16
    assert sam2_hf.pipeline("mask-generation", half, dtype="auto").model.dtype == torch.bfloat16


def test_auto_is_float32_for_an_original_checkpoint(tmp_path):
    path = save_original(tmp_path / "small.pt")

    made = sam2_hf.pipeline("mask-generation", path, dtype="auto", config=small_config())

    assert made.model.dtype == torch.float32


def test_what_is_said_of_the_repo_reaches_model_and_processor(saved_model, loaded_with):
    arguments = {"revision": "v1", "token": "hf_x", "local_files_only": True}

    sam2_hf.pipeline(
        "mask-generation", saved_model, model_kwargs={"cache_dir": "here"}, **arguments
    )

    for called in loaded_with.values():
        assert arguments.items() <= called.items()
        assert called["cache_dir"] == "here"


def test_a_config_of_ones_own_makes_the_model(saved_model):
    config = sam2_hf.Sam2Config.from_pretrained(saved_model)
    config.mask_decoder_config.dynamic_multimask_stability_thresh = 0.5

    for given in (config, str(saved_model)):
        made = sam2_hf.pipeline("mask-generation", saved_model, config=given)
        found = made.model.config.mask_decoder_config.dynamic_multimask_stability_thresh
        assert (found == 0.5) == (given is config)


@pytest.mark.parametrize("name", ["image_processor", "feature_extractor", "processor"])
def test_an_image_processor_has_three_names(tiny_model, saved_model, wide, name):
    processor = Sam2Processor.from_pretrained(saved_model)

    for given in (processor, processor.image_processor, saved_model, str(saved_model)):
        made = sam2_hf.pipeline("image-segmentation", tiny_model, **{name: given})
        assert made._encoder.processor.size["height"] == 64
    both = {"processor": processor, "image_processor": processor.image_processor}
    made = sam2_hf.pipeline("image-segmentation", tiny_model, **both)
    assert made(wide, points=(3, 3)).masks.shape == (3, 60, 120)


def test_a_class_of_ones_own_is_made(saved_model):
    made = sam2_hf.pipeline("mask-generation", saved_model, pipeline_class=Own, **QUICK)

    assert type(made) is Own


def test_a_video_pipeline_takes_the_same(saved_video_model, video_processor):
    made = sam2_hf.pipeline(
        "video-segmentation",
        saved_video_model,
        torch_dtype="bfloat16",
        device_map="auto",
        token=None,
        framework="pt",
        batch_size=2,
        num_workers=1,
        processor=video_processor,
        compat="official",
    )

    assert made.model.dtype == torch.bfloat16
    assert made.options.pointer_times == "clip"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"points_per_crp": 3}, OptionError, "Did you mean points_per_crop?"),
        ({"torch_dtyp": "float16"}, OptionError, "Did you mean torch_dtype?"),
        ({"revison": "main"}, OptionError, "Did you mean revision?"),
        ({"fill_hole_area": 3}, OptionError, "has no option 'fill_hole_area'"),
        ({"points_per_side": 0}, PromptError, "points_per_side is 0"),
        ({"points_per_side": "many"}, PromptError, "points_per_side is 'many'"),
        ({"pred_iou_thresh": "high"}, PromptError, "pred_iou_thresh is 'high'"),
        ({"pred_iou_thresh": None}, PromptError, "pred_iou_thresh is None"),
        ({"use_m2m": "yes"}, PromptError, "use_m2m is 'yes'"),
        ({"compile": "yes"}, PromptError, "compile is 'yes'"),
        ({"crop_n_layers": 9, "crop_n_points_downscale_factor": 4}, PromptError, "layer"),
        ({"framework": "tf"}, PromptError, "framework is 'tf'"),
        ({"tokenizer": "bert"}, PromptError, "there is no tokenizer"),
        ({"video_processor": "here"}, PromptError, "has no video_processor"),
        ({"device": "tpu0"}, PromptError, "device 'tpu0'"),
        ({"device_map": "tpu0"}, PromptError, "device 'tpu0'"),
        ({"device_map": {}}, PromptError, "device_map is empty"),
        ({"device_map": 1.5}, PromptError, "device_map is 1.5"),
        ({"device": "cpu", "device_map": "auto"}, PromptError, "Give one of them"),
        ({"dtype": "int7"}, PromptError, "dtype 'int7'"),
        ({"torch_dtype": "int7"}, PromptError, "dtype 'int7'"),
        ({"dtype": "float16", "torch_dtype": "float32"}, PromptError, "two names of one"),
        ({"dtype": "float16", "model_kwargs": {"dtype": "float16"}}, PromptError, "Give it once"),
        ({"device_map": "cpu", "model_kwargs": {"device_map": "cpu"}}, PromptError, "Give it once"),
        ({"model_kwargs": {"atn_implementation": "sdpa"}}, OptionError, "attn_implementation?"),
        ({"model_kwargs": 3}, PromptError, "model_kwargs is 3"),
        ({"revision": 3}, PromptError, "revision is 3"),
        ({"token": 3}, PromptError, "token is 3"),
        ({"config": 3}, PromptError, "config is 3"),
        ({"use_fast": "yes"}, PromptError, "use_fast is 'yes'"),
        ({"trust_remote_code": "yes"}, PromptError, "trust_remote_code is 'yes'"),
        ({"local_files_only": "yes"}, PromptError, "local_files_only is 'yes'"),
        ({"batch_size": 0}, PromptError, "batch_size is 0"),
        ({"batch_size": True}, PromptError, "batch_size is True"),
        ({"num_workers": -1}, PromptError, "num_workers is -1"),
        ({"timeout": 0}, PromptError, "timeout is 0"),
        ({"image_processor": 3}, PromptError, "image_processor is 3"),
        ({"image_processor": "./none"}, CheckpointError, "none"),
        ({"pipeline_class": ImageSegmentationPipeline}, PromptError, "subclass of MaskGen"),
        ({"pipeline_class": "mine"}, PromptError, "pipeline_class is 'mine'"),
    ],
    ids=str,
)
def test_what_cannot_be_heeded_is_refused_before_weights_are_loaded(
    saved_model, no_loading, arguments, error, message
):
    with pytest.raises(error, match=message) as raised:
        sam2_hf.pipeline("mask-generation", model=saved_model, **arguments)

    assert isinstance(raised.value, Sam2Error | CheckpointError)
    assert len(str(raised.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("task", "arguments", "message"),
    [
        ("image-segmentation", {"mask_treshold": 1}, "Did you mean mask_threshold?"),
        ("image-segmentation", {"mask_threshold": "low"}, "mask_threshold is 'low'"),
        ("image-segmentation", {"max_hole_area": float("nan")}, "max_hole_area is nan"),
        ("image-segmentation", {"batch_size": "2"}, "batch_size is '2'"),
        ("image-segmentation", {"points_per_side": 3}, "no option 'points_per_side'"),
        ("video-segmentation", {"fill_hole_aera": 3}, "Did you mean fill_hole_area?"),
        ("video-segmentation", {"window": 1}, "window is 1"),
        ("video-segmentation", {"rules": 3}, "rules are 3"),
        ("video-segmentation", {"feature_extractor": "x"}, "has no feature_extractor"),
        ("video-segmentation", {"batch_size": 0}, "batch_size is 0"),
        ("mask-making", {}, "no task 'mask-making'"),
        (None, {}, "no task None. Choose from: mask-generation"),
    ],
    ids=str,
)
def test_every_task_refuses_before_weights_are_loaded(
    saved_video_model, no_loading, task, arguments, message
):
    with pytest.raises(Sam2Error, match=message):
        sam2_hf.pipeline(task, model=saved_video_model, **arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"revision": "main"}, "revision"),
        ({"config": sam2_hf.Sam2Config()}, "config"),
        ({"model_kwargs": {"cache_dir": "here"}}, "cache_dir"),
        ({"device_map": {"vision_encoder": "cpu", "": "meta"}}, "device_map"),
    ],
    ids=str,
)
def test_how_to_load_is_no_question_for_a_loaded_model(tiny_model, arguments, name):
    with pytest.raises(PromptError, match=f"{name} applies to loading"):
        sam2_hf.pipeline("mask-generation", tiny_model, **arguments)


def test_two_different_image_processors_are_refused(tiny_model, saved_model, no_loading):
    first, second = (sam2_hf.Sam2ImageProcessor(size=side) for side in (64, 128))

    with pytest.raises(PromptError, match="image_processor and processor are different"):
        sam2_hf.pipeline(
            "mask-generation", saved_model, image_processor=first, processor=Sam2Processor(second)
        )


def test_an_image_processor_that_was_asked_for_is_not_replaced_by_a_standard_one(
    saved_model, no_loading, tmp_path
):
    """A folder without one is fine beside a model, but not as an `image_processor`."""
    (tmp_path / "empty").mkdir()

    with pytest.raises(CheckpointError, match="there is no image processor in"):
        sam2_hf.pipeline("mask-generation", saved_model, image_processor=tmp_path / "empty")


def test_an_image_processor_that_breaks_off_is_not_replaced_by_a_standard_one(
    monkeypatch, no_loading
):
    """One that the repo does not have is: repos with the original `.pt` alone have none."""

    def fail(*_, **__):
        raise OSError("We couldn't connect.\nMore lines.") from causes[0]

    monkeypatch.setattr(sam2_hf.Sam2ImageProcessor, "from_pretrained", fail)
    monkeypatch.setattr("sam2_hf.pipelines.loading.hub_answers", lambda *_: True)
    causes = [LocalEntryNotFoundError("no connection")]

    with pytest.raises(CheckpointError, match="image processor of some/model could not be fetched"):
        sam2_hf.pipeline("mask-generation", "some/model")

    causes[0] = None
    assert loading.load_image_processor("some/model") is None


def test_a_video_processor_with_rules_of_its_own_is_refused(saved_video_model, no_loading):
    side = {"height": 64, "width": 64}
    own = sam2_hf.Sam2VideoVideoProcessor(size=side, image_mean=[0.5, 0.5, 0.5])
    processor = Sam2VideoProcessor(sam2_hf.Sam2ImageProcessor(size=side), own)

    for arguments in ({"video_processor": own}, {"processor": processor}):
        with pytest.raises(PromptError, match="normalizes by mean"):
            sam2_hf.pipeline("video-segmentation", saved_video_model, **arguments)


def test_a_video_processor_with_the_rules_of_the_checkpoint_is_taken(tiny_video_model, tmp_path):
    side = {"height": 64, "width": 64}
    own = Sam2VideoProcessor(sam2_hf.Sam2ImageProcessor(size=side, image_mean=[0.5, 0.5, 0.5]))
    tiny_video_model.save_pretrained(tmp_path)
    own.save_pretrained(tmp_path)
    model = type(tiny_video_model).from_pretrained(tmp_path)
    released = sam2_hf.Sam2VideoVideoProcessor(size=side)

    for given in (tmp_path, model):
        same = sam2_hf.Sam2VideoVideoProcessor(size=side, image_mean=0.5)
        for processor in (own, same, tmp_path):
            assert sam2_hf.pipeline("video-segmentation", given, processor=processor)
        with pytest.raises(PromptError, match="normalizes by mean"):
            sam2_hf.pipeline("video-segmentation", given, video_processor=released)


def test_without_a_model_and_without_a_network_the_error_names_the_way_out(monkeypatch, no_loading):
    monkeypatch.setattr("sam2_hf.pipelines.loading.hub_answers", lambda *_: False)
    monkeypatch.setattr("sam2_hf.pipelines.loading.is_cached", lambda *_: False)

    for task in ("mask-generation", "image-segmentation", "video-segmentation"):
        with pytest.raises(CheckpointError, match="sam2-hiera-micro") as raised:
            sam2_hf.pipeline(task)
        assert loading.DEFAULT_MODEL in str(raised.value)
        assert "path" in str(raised.value)


def test_a_batch_gives_the_masks_of_one_photo_after_the_other(micro_model, wide, tall):
    photos = [wide, tall, wide]
    everything = sam2_hf.pipeline("mask-generation", micro_model, points_per_side=3)
    loose = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
    segment = sam2_hf.pipeline("image-segmentation", micro_model, batch_size=2)

    batch = everything(photos, batch_size=2, **loose)
    answers = segment(photos, boxes=[np.array([[5, 5, 40, 40]])] * 3)

    for photo, found, (answer,) in zip(photos, batch, answers, strict=True):
        alone = everything(photo, **loose)
        assert len(found) == len(alone) > 0
        for one, other in zip(found, alone, strict=True):
            assert (one.rle, one.predicted_iou) == (other.rle, other.predicted_iou)
        expected = segment(photo, box=(5, 5, 40, 40))
        assert np.array_equal(answer.low_res_logits, expected.low_res_logits)
