"""One test for each way in which facebookresearch/sam2 @ 2b90b9f goes wrong on images."""

import pytest
import torch
from seeded_inputs import photo

import sam2_hf
from sam2_hf import CheckpointError, MaskGenerationPipeline, Sam2Config, Sam2Model
from sam2_hf.masks import fill_holes
from sam2_hf.model.configs.configuration_sam2 import with_image_size


@pytest.mark.parametrize("image_size", [96, 256, 512])
def test_other_input_sizes_work(image_size):
    """Feature sizes are fixed to those of 1024: sam2_image_predictor.py:62."""
    model = Sam2Model(with_image_size(Sam2Config(), image_size)).eval()

    answer = model(pixel_values=torch.zeros(1, 3, image_size, image_size))

    assert answer.pred_masks.shape == (1, 1, 3, image_size // 4, image_size // 4)


def test_holes_are_filled_without_an_extension():
    """Without sam2._C there is a warning and the holes stay: sam2/utils/misc.py:312."""
    logits = torch.full((1, 1, 9, 9), 3.0)
    logits[..., 4, 4] = -3.0

    assert (fill_holes(logits, max_area=1) > 0).all()
    assert (fill_holes(logits, max_area=0) > 0).sum() == 80


def test_the_device_is_one_that_exists(micro_model):
    """The builders' default is "cuda" whatever the machine: build_sam.py:76."""
    segment = sam2_hf.pipeline("mask-generation", model=micro_model, device="cpu")

    assert segment.model.device.type == "cpu"


def test_a_misspelled_option_is_an_error(micro_model):
    """Open keyword arguments swallow it: sam2_image_predictor.py:28."""
    with pytest.raises(TypeError, match="points_per_sid"):
        MaskGenerationPipeline(micro_model, points_per_sid=8)


def test_foreign_weights_are_refused_by_name(tmp_path, seeded_checkpoint, micro_config):
    """`raise RuntimeError()` with nothing said: build_sam.py:164."""
    weights = dict(seeded_checkpoint("micro"))
    weights["foreign.weight"] = weights.pop("no_mem_embed")
    torch.save({"model": weights}, tmp_path / "odd.pt")

    with pytest.raises(CheckpointError, match=r"no_mem_embed|foreign\.weight"):
        Sam2Model.from_pretrained(tmp_path / "odd.pt", config=micro_config)


def test_a_picture_may_be_a_path_an_array_or_a_tensor(micro_model, tmp_path):
    """Only arrays and PIL pictures: sam2_image_predictor.py:100."""
    from PIL import Image

    pixels = photo(40, 60, 1)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    segment = sam2_hf.ImageSegmentationPipeline(micro_model)
    sources = [tmp_path / "photo.png", pixels, torch.from_numpy(pixels).permute(2, 0, 1)]

    masks = [segment(source, points=[(30, 20)], labels=[1]).best for source in sources]

    assert (masks[0] == masks[1]).all()
    assert (masks[1] == masks[2]).all()
