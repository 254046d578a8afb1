import pytest

from sam2_hf.errors import ImageError, MissingPackageError, OutputError, PromptError, Sam2Error


@pytest.mark.parametrize(
    ("error", "standard"),
    [(PromptError, ValueError), (ImageError, ValueError), (OutputError, OSError)],
)
def test_an_error_is_ours_and_a_standard_one(error, standard):
    assert issubclass(error, Sam2Error)
    assert issubclass(error, standard)


def test_a_missing_package_is_named_with_what_to_do():
    error = MissingPackageError("av", purpose="reading mp4", install="pip install sam2-hf[video]")

    assert isinstance(error, ImportError)
    assert error.package == "av"
    assert "av" in str(error)
    assert "pip install sam2-hf[video]" in str(error)
