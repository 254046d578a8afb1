"""Detectors and scorers of pipelines: given, named, or the default."""

import pytest

from sam2_hf import CheckpointError, ImageSegmentationPipeline, PromptError
from sam2_hf.open_vocabulary.zero_shot_detector import ZeroShotDetector
from sam2_hf.pipelines import named_models
from sam2_hf.pipelines.named_models import NamedModel, check_named_model, load_detector, load_scorer
from tests import zero_shot_models
from tests.stand_in_detector import KnownBoxes


@pytest.fixture(scope="module")
def owlv2_folder(tmp_path_factory):
    """A folder with a tiny OWLv2."""
    folder = tmp_path_factory.mktemp("owlv2")
    for part in zero_shot_models.owlv2():
        part.save_pretrained(folder)
    return folder


def test_a_pipeline_loads_the_detector_of_a_folder(owlv2_folder, micro_model, wide):
    segment = ImageSegmentationPipeline(micro_model, detector=owlv2_folder)

    found = segment(wide, text=["a dog", "a cat"])

    assert found
    assert {result.name for result in found} <= {"a dog", "a cat"}
    expected = load_detector(str(owlv2_folder), device="cpu").detect(wide, ["a dog", "a cat"])
    assert [result.detection_score for result in found] == [one.score for one in expected]


def test_the_default_is_loaded_once_and_only_when_needed(monkeypatch):
    loaded = []
    detector = KnownBoxes({})

    def load(source):
        loaded.append(source)
        return detector

    model = NamedModel(None, "default/name", load)
    assert loaded == []

    assert model.get() is model.get() is detector
    assert loaded == ["default/name"]


def test_a_pipeline_without_a_detector_says_what_it_misses(micro_model, wide, monkeypatch):
    monkeypatch.setattr(named_models, "DEFAULT_DETECTOR", "nobody/has-this-detector")

    segment = ImageSegmentationPipeline(micro_model)

    with pytest.raises(CheckpointError, match="nobody/has-this-detector"):
        segment(wide, text="a dog")


def test_a_model_of_another_kind_is_no_detector_and_no_scorer(owlv2_folder, saved_model):
    with pytest.raises(CheckpointError, match="zero-shot detector"):
        load_detector(saved_model)
    with pytest.raises(CheckpointError, match="zero-shot image classifier"):
        load_scorer(owlv2_folder)
    with pytest.raises(PromptError, match="device"):
        load_detector(owlv2_folder, device="no-such-device")


def test_anything_with_the_method_is_a_detector():
    check_named_model(KnownBoxes({}), "detector", "detect")
    check_named_model(ZeroShotDetector, "detector", "detect")
    with pytest.raises(PromptError, match="a method detect"):
        check_named_model(3, "detector", "detect")
