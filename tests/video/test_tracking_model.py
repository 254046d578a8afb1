"""What a session needs of a model, and who has it."""

import inspect

import pytest

from sam2_hf import Sam2VideoModel
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.video.tracking_model import FrozenModel, TrackingModel
from tests.fakes import FakeModel

METHODS = {
    name
    for name, value in vars(TrackingModel).items()
    if inspect.isfunction(value) and name[0] != "_"
}
PROPERTIES = {name for name, value in vars(TrackingModel).items() if isinstance(value, property)}


def test_the_steps_of_the_paper_are_what_a_session_calls():
    assert {
        "encode_image",
        "condition_on_memory",
        "decode_masks",
        "object_pointers",
        "use_mask_as_output",
        "encode_memory",
    } == METHODS


@pytest.mark.parametrize("kind", [Sam2VideoModel, ExportedSam2])
def test_every_model_takes_the_steps_with_the_same_arguments(kind):
    for name in METHODS:
        wanted = inspect.signature(getattr(TrackingModel, name)).parameters
        assert [*inspect.signature(getattr(kind, name)).parameters] == [*wanted], name


def test_every_model_has_the_sizes(tiny_video_model):
    assert all(hasattr(tiny_video_model, name) for name in PROPERTIES)
    set_when_made = {
        name for kind in ExportedSam2.__mro__ for name in inspect.get_annotations(kind)
    }
    assert {name for name in PROPERTIES if not hasattr(ExportedSam2, name)} <= set_when_made


def test_only_a_model_without_weights_is_frozen(tiny_video_model):
    assert not isinstance(tiny_video_model, FrozenModel)
    assert not isinstance(FakeModel(), FrozenModel)
    assert hasattr(ExportedSam2, "fingerprint")
