"""Models and image processors from wherever they are."""

import pytest
import torch
from golden_cases import seeded_weights

from sam2_hf import CheckpointError, PromptError, Sam2VideoModel, VideoPrompt, pipeline
from sam2_hf.pipelines import loading
from sam2_hf.pipelines.loading import load_image_processor, load_model, load_video_model
from tests.bundled_checkpoint import NAME, bundle, forbid_network
from tests.small_checkpoint import save_original


def test_a_folder_is_loaded_in_float32_and_eval_mode(saved_model, tiny_model):
    model = load_model(saved_model)

    assert (model.dtype, model.training) == (torch.float32, False)
    assert torch.equal(model.no_memory_embedding, tiny_model.no_memory_embedding)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_dtype_is_a_name_or_a_dtype(saved_model, dtype):
    assert load_model(saved_model, device="cpu", dtype=dtype).dtype == torch.bfloat16


def test_a_model_is_taken_as_it_is(tiny_model):
    assert load_model(tiny_model) is tiny_model


@pytest.mark.parametrize("device", ["cpu", -1, torch.device("cpu")])
def test_a_device_is_a_name_a_number_or_a_device(saved_model, device):
    assert load_model(saved_model, device=device).device == torch.device("cpu")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"device": "tpu0"}, "device 'tpu0' cannot be used"),
        ({"device": "cuda:99"}, "device 'cuda:99' cannot be used"),
        ({"dtype": "int7"}, "dtype 'int7' cannot be used"),
        ({"dtype": "float31"}, "dtype 'float31' cannot be used"),
    ],
)
def test_what_this_machine_lacks_is_an_error_of_ours(saved_model, wanted, message):
    with pytest.raises(PromptError, match=message):
        load_model(saved_model, **wanted)


def test_a_video_model_is_loaded_whole(saved_video_model, tiny_video_model):
    model = load_video_model(saved_video_model, dtype="bfloat16", device="cpu")

    assert (model.dtype, model.training) == (torch.bfloat16, False)
    assert model.state_dict().keys() == tiny_video_model.state_dict().keys()
    assert load_video_model(tiny_video_model) is tiny_video_model


def test_a_video_model_comes_from_an_original_file_too(micro_video_model, tmp_path):
    torch.save({"model": seeded_weights("micro")}, tmp_path / "micro.pt")
    micro_video_model.config.save_pretrained(tmp_path)

    model = load_video_model(tmp_path / "micro.pt", device="cpu")

    wanted = micro_video_model.state_dict()
    assert isinstance(model, Sam2VideoModel)
    assert all(torch.equal(value, wanted[name]) for name, value in model.state_dict().items())


def test_an_image_model_is_no_video_model(tiny_model):
    with pytest.raises(PromptError, match="the model is a Sam2Model; a Sam2VideoModel is needed"):
        load_video_model(tiny_model)


def test_a_path_to_nothing_is_an_error_of_ours():
    with pytest.raises(CheckpointError, match="there is no file"):
        load_model("./none.pt")


def test_the_processor_saved_beside_a_model_is_found(saved_model):
    assert load_image_processor(saved_model).size["height"] == 64


def test_without_a_saved_processor_there_is_none(saved_model, tiny_model, tmp_path):
    (saved_model / "processor_config.json").unlink()

    assert load_image_processor(saved_model) is None
    assert load_image_processor(tiny_model) is None
    assert load_image_processor(save_original(tmp_path / "small.pt")) is None


@pytest.fixture
def bundled(tiny_video_model, tmp_path, monkeypatch):
    """The tiny video model as the bundled one; nobody may be asked for it."""
    monkeypatch.chdir(tmp_path)
    forbid_network(monkeypatch)
    monkeypatch.setattr(loading, "hub_answers", lambda *_: pytest.fail("the Hub was asked"))
    return bundle(tiny_video_model, tmp_path / "bundled", monkeypatch)


def test_a_bundled_model_needs_no_network(bundled):
    assert load_model(NAME).config.prompt_encoder_config.image_size == 64
    assert load_video_model(NAME).config.image_size == 64
    assert load_image_processor(NAME).size["height"] == 64


@pytest.mark.parametrize("task", ["image-segmentation", "mask-generation"])
def test_a_pipeline_takes_a_bundled_model_by_name(bundled, wide, task):
    segment = pipeline(task, model=NAME, **({} if "image" in task else {"points_per_side": 2}))

    assert segment._encoder.processor.size["height"] == 64
    segment(wide, **({"points": (60, 30)} if "image" in task else {}))


def test_a_video_pipeline_takes_a_bundled_model_by_name(bundled, wide):
    track = pipeline("video-segmentation", model=NAME)

    found = track([wide, wide], [VideoPrompt(frame=0, object_id=1, clicks=(60, 30))])

    assert found.masklets[1].mask(1).shape == (60, 120)
