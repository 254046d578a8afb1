"""Loading of zero-shot models, and what a failure says."""

import pytest
from transformers import AutoProcessor

from sam2_hf.errors import PromptError
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector
from sam2_hf.open_vocabulary.zero_shot_model import check_share


def load(source):
    return ZeroShotDetector.from_pretrained(source, local_files_only=True, device="cpu")


def test_a_model_of_another_kind_cannot_be_loaded(tmp_path, clip_model):
    for part in clip_model:
        part.save_pretrained(tmp_path)

    with pytest.raises(CheckpointError, match=r"the zero-shot detector .* cannot be loaded: .*"):
        load(tmp_path)


def test_a_folder_that_is_missing_cannot_be_loaded(tmp_path):
    with pytest.raises(CheckpointError, match="Give the Hub id or folder of a zero-shot detector"):
        load(tmp_path / "missing")


def test_a_package_that_is_missing_is_named(tmp_path, monkeypatch):
    def fail(*arguments, **options):
        raise ImportError("OmDetTurboProcessor requires the Torchvision library but it was not")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", fail)

    with pytest.raises(CheckpointError, match="requires the Torchvision library"):
        load(tmp_path)


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan"), "half", True, None])
def test_a_number_that_is_no_share_is_refused(value):
    with pytest.raises(PromptError, match="least is"):
        check_share("least", value)
