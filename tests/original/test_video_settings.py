"""Options of sessions as attributes of a predictor."""

import pytest

from sam2_hf.errors import NoPromptError, SessionError, UnknownObjectError
from sam2_hf.original.video_settings import VideoSettings
from sam2_hf.video.session_options import SessionOptions
from tests.fakes import FakeModel


def test_the_defaults_are_the_originals_but_for_corrections():
    settings = VideoSettings(FakeModel())
    original = SessionOptions.preset("official")

    assert settings.add_all_frames_to_correct_as_cond
    settings.add_all_frames_to_correct_as_cond = False
    assert settings.options == original
    assert settings.fill_hole_area == 8


def test_setting_an_attribute_replaces_the_options():
    options = SessionOptions.preset("official")
    settings = VideoSettings.from_model(FakeModel(), options)

    settings.fill_hole_area = 0
    settings.max_cond_frames_in_attn = 4

    assert (settings.options.fill_hole_area, settings.options.max_cond_frames_in_attn) == (0, 4)
    assert options.fill_hole_area == 8
    with pytest.raises(SessionError, match="fill_hole_area is -1"):
        settings.fill_hole_area = -1


def test_the_model_is_part_of_it():
    model = FakeModel()
    settings = VideoSettings(model)

    assert settings.model is model
    assert (settings.image_size, settings.device) == (model.image_size, model.device)


def test_a_predictor_is_in_the_mode_of_its_model(micro_video_model):
    assert not VideoSettings(micro_video_model.eval()).training


@pytest.mark.parametrize("kind", [NoPromptError, UnknownObjectError])
def test_callers_that_catch_the_originals_error_catch_ours(kind):
    """It raises RuntimeError: sam2_video_predictor.py:485 and :878."""
    assert issubclass(kind, RuntimeError)
    assert issubclass(kind, LookupError)
