"""What `sam2-hf export` refuses early; its messages are in test_early_checks.py."""

import argparse

import pytest

from sam2_hf.cli.inputs import export_checks
from sam2_hf.errors import ExportError
from sam2_hf.export.photo_folder import PHOTO_FORMATS


def test_the_formats_that_are_checked_are_those_that_can_be_exported():
    assert tuple(PHOTO_FORMATS) == export_checks.PHOTO_FORMATS


@pytest.mark.parametrize("name", ["a/b/c", "me/-", "", "a b"])
def test_a_name_that_the_hub_cannot_have_is_refused(name):
    with pytest.raises(
        ExportError, match=r"is not a valid name for a Hub repo.*Give owner/name"
    ) as caught:
        export_checks.require_repo_name(name)
    assert "\n" not in str(caught.value)


def asked(image_size):
    return argparse.Namespace(format="onnx", image_size=image_size, dtype="float32", fixed=False)


@pytest.mark.parametrize("image_size", [None, 512, 1008])
def test_an_input_size_of_any_family_is_left_to_the_model(image_size):
    export_checks.require_possible(asked(image_size))


@pytest.mark.parametrize("image_size", [100, 1000])
def test_an_input_size_of_no_family_is_refused(image_size):
    with pytest.raises(ExportError, match="multiple of 32, for SAM 3 of 14"):
        export_checks.require_possible(asked(image_size))
