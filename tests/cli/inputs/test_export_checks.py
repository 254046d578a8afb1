"""Which exports are refused before a model is loaded."""

import argparse

import pytest

from sam2_hf.cli.inputs.export_checks import require_possible
from sam2_hf.errors import ExportError


def asked(image_size):
    return argparse.Namespace(format="onnx", image_size=image_size, dtype="float32", fixed=False)


@pytest.mark.parametrize("image_size", [None, 512, 1008])
def test_an_input_size_of_any_family_is_left_to_the_model(image_size):
    require_possible(asked(image_size))


@pytest.mark.parametrize("image_size", [100, 1000])
def test_an_input_size_of_no_family_is_refused(image_size):
    with pytest.raises(ExportError, match="multiple of 32, for SAM 3 of 14"):
        require_possible(asked(image_size))
