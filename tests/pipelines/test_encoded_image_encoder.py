"""Photos become maps of the model's size."""

from functools import partial
from pathlib import Path

import pytest
import torch
from torch._dynamo.utils import counters

from sam2_hf import (
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    Sam2Error,
    Sam2ImageProcessor,
    Sam2Processor,
    Sam2VideoModel,
    pipeline,
)
from sam2_hf.compiling import Compiled
from sam2_hf.errors import PromptError
from sam2_hf.pipelines import encoded_image
from sam2_hf.pipelines.encoded_image import PhotoEncoder
from sam2_hf.processing.images import to_rgb


def test_photos_of_different_sizes_are_one_batch(tiny_model, wide, tall):
    levels = PhotoEncoder(tiny_model).embeddings(to_rgb(wide), to_rgb(tall))

    assert [tuple(level.shape) for level in levels] == [
        (2, 4, 16, 16),
        (2, 8, 8, 8),
        (2, 32, 4, 4),
    ]


def test_the_model_decides_the_size_whatever_the_processor_says(tiny_model, wide):
    standard = Sam2ImageProcessor()

    levels = PhotoEncoder(tiny_model, standard).embeddings(to_rgb(wide))

    expected = PhotoEncoder(tiny_model).embeddings(to_rgb(wide))
    assert standard.size["height"] == 1024
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(levels, expected, strict=True))


def test_a_processors_other_settings_count(tiny_model, wide):
    gray = Sam2Processor(Sam2ImageProcessor(image_mean=[0.0] * 3, image_std=[1.0] * 3))

    changed = PhotoEncoder(tiny_model, gray).embeddings(to_rgb(wide))

    assert not torch.equal(changed[0], PhotoEncoder(tiny_model).embeddings(to_rgb(wide))[0])


@pytest.fixture
def own_model(tiny_model, tmp_path):
    """A model from a folder whose processor has a normalization of its own."""
    tiny_model.save_pretrained(tmp_path)
    own = {"image_mean": [0.5] * 3, "image_std": [0.25] * 3}
    Sam2Processor(Sam2ImageProcessor(**own)).save_pretrained(tmp_path)
    return type(tiny_model).from_pretrained(tmp_path).eval()


def test_a_given_model_keeps_the_normalization_of_its_checkpoint(own_model, wide):
    of_object = pipeline("image-segmentation", own_model).encode(wide)
    of_folder = pipeline("image-segmentation", own_model.name_or_path).encode(wide)
    alone = ImageSegmentationPipeline(own_model).encode(wide)
    standard = ImageSegmentationPipeline(own_model, Sam2ImageProcessor()).encode(wide)

    assert torch.equal(of_object.embeddings[2], of_folder.embeddings[2])
    assert torch.equal(alone.embeddings[2], of_folder.embeddings[2])
    assert not torch.equal(alone.embeddings[2], standard.embeddings[2])
    assert MaskGenerationPipeline(own_model)._encoder.processor.image_mean == (0.5,) * 3


def test_a_model_that_came_from_nowhere_has_the_released_normalization(tiny_model, tmp_path):
    tiny_model.save_pretrained(tmp_path)
    without_processor = type(tiny_model).from_pretrained(tmp_path)

    for model in (tiny_model, without_processor):
        assert PhotoEncoder(model).processor.image_mean == Sam2ImageProcessor().image_mean


def test_a_processor_of_a_given_model_that_is_damaged_is_an_error(own_model):
    file = Path(own_model.name_or_path, "processor_config.json")
    file.write_text("[1")

    with pytest.raises(Sam2Error, match=file.name):
        pipeline("image-segmentation", own_model)


@pytest.mark.parametrize("task", ["mask-generation", "image-segmentation"])
def test_a_pipeline_compiles_its_encoder_where_asked_to(task, tiny_model, wide, monkeypatch):
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(encoded_image, "Compiled", partial(Compiled, backend="eager"))

    compiled = pipeline(task, tiny_model, compile=True)._encoder.embeddings(to_rgb(wide))

    assert counters["stats"]["unique_graphs"] == 1
    plain = pipeline(task, tiny_model)._encoder.embeddings(to_rgb(wide))
    for ours, theirs in zip(compiled, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [ImageSegmentationPipeline, MaskGenerationPipeline])
@pytest.mark.parametrize("name", ["NoneType", "Sam2Processor", "Sam2VideoModel"])
def test_a_model_that_segments_no_photos_is_refused_at_once(kind, name):
    makers = {"Sam2Processor": Sam2Processor, "Sam2VideoModel": Sam2VideoModel}
    model = makers[name].from_pretrained("sam2-hiera-micro") if name in makers else None

    with pytest.raises(PromptError, match=f"is a {name}; a Sam2Model is needed"):
        kind(model)
