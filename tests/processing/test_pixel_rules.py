import pytest
from transformers.image_utils import PILImageResampling, SizeDict

from sam2_hf.errors import ImageError
from sam2_hf.processing.pixel_rules import pixel_rules, size_pair

OPTIONS = {
    "size": SizeDict(height=256, width=320),
    "resample": PILImageResampling.BICUBIC,
    "do_resize": True,
    "do_rescale": True,
    "rescale_factor": 0.5,
    "do_normalize": True,
    "image_mean": (1.0, 2.0, 3.0),
    "image_std": 4.0,
    "compat": "transformers",
}


def test_options_become_rules():
    rules = pixel_rules(OPTIONS)

    assert rules.size == (256, 320)
    assert rules.resampling == "bicubic"
    assert (rules.rescale_factor, rules.mean, rules.std) == (0.5, (1.0, 2.0, 3.0), 4.0)
    assert rules.compat == "transformers"


def test_a_step_that_is_off_is_left_out():
    rules = pixel_rules({**OPTIONS, "do_resize": False, "do_rescale": None, "do_normalize": False})

    assert (rules.size, rules.rescale_factor, rules.mean, rules.std) == (None,) * 4


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"do_center_crop": True}, "do_center_crop"),
        ({"do_pad": True}, "do_pad"),
        ({"resample": PILImageResampling.LANCZOS}, "BILINEAR"),
        ({"size": SizeDict(shortest_edge=3)}, "height and width"),
    ],
)
def test_what_cannot_be_done_is_refused(option, words):
    with pytest.raises(ImageError, match=words):
        pixel_rules({**OPTIONS, **option})


def test_a_missing_size_is_named():
    with pytest.raises(ImageError, match="mask_size"):
        size_pair(None, "mask_size")
