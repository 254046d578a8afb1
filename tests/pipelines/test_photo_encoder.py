"""Photos become maps of the model's size."""

from functools import partial

import pytest
import torch
from torch._dynamo.utils import counters

from sam2_hf import Sam2ImageProcessor, Sam2Processor, pipeline
from sam2_hf.compiling import Compiled
from sam2_hf.pipelines import photo_encoder
from sam2_hf.pipelines.photo_encoder import PhotoEncoder
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
    grey = Sam2Processor(Sam2ImageProcessor(image_mean=[0.0] * 3, image_std=[1.0] * 3))

    changed = PhotoEncoder(tiny_model, grey).embeddings(to_rgb(wide))

    assert not torch.equal(changed[0], PhotoEncoder(tiny_model).embeddings(to_rgb(wide))[0])


@pytest.mark.parametrize("task", ["mask-generation", "image-segmentation"])
def test_a_pipeline_compiles_its_encoder_where_asked_to(task, tiny_model, wide, monkeypatch):
    torch._dynamo.reset()
    counters.clear()
    monkeypatch.setattr(photo_encoder, "Compiled", partial(Compiled, backend="eager"))

    compiled = pipeline(task, tiny_model, compile=True)._encoder.embeddings(to_rgb(wide))

    assert counters["stats"]["unique_graphs"] == 1
    plain = pipeline(task, tiny_model)._encoder.embeddings(to_rgb(wide))
    for ours, theirs in zip(compiled, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
