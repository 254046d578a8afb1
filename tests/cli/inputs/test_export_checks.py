"""What `sam2-hf export` refuses early; its messages are in test_early_checks.py."""

from sam2_hf.cli.inputs import export_checks
from sam2_hf.export.photo_folder import PHOTO_FORMATS


def test_the_formats_that_are_checked_are_those_that_can_be_exported():
    assert tuple(PHOTO_FORMATS) == export_checks.PHOTO_FORMATS
