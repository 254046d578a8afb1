"""What was said about a video, beside a session that keeps fewer steps than the page does."""

import numpy as np
import pytest
import torch

from sam2_hf import Sam2VideoModel
from sam2_hf.errors import FrameError
from sam2_hf.video.session_options import MEMORY_POLICIES
from sam2_space.limits import LimitError, Limits
from sam2_space.photo_work import PhotoWork
from sam2_space.space_model import SpaceModel, is_bundled
from sam2_space.video_controls import POLICIES
from sam2_space.video_work import open_video
from tests.spaces.conftest import ROOT

CLIP = ROOT / "spaces/samples/cup-and-cat.mp4"


@pytest.fixture(scope="module")
def model():
    return SpaceModel.load("sam2-hiera-micro", "cpu")


@pytest.fixture
def work(model, tmp_path):
    opened = open_video(CLIP, "clip", model, Limits(), tmp_path / "video")
    yield opened
    opened.close()


def test_the_bundled_model_is_known_by_its_weights_wherever_they_came_from(
    model, micro_video_model, tmp_path
):
    model.video.save_pretrained(tmp_path / "copy")
    copy = Sam2VideoModel.from_pretrained(tmp_path / "copy")

    assert not model.knows_boxes
    assert is_bundled(copy)
    with torch.no_grad():
        copy.no_memory_embedding.add_(1.0)
    assert not is_bundled(copy)
    assert not is_bundled(micro_video_model)  # of another size


def test_undo_never_says_something_else_than_the_session_has(work):
    work.click(0, (95, 238), positive=True)
    work.new_object()
    work.click(0, (389, 119), positive=True)
    work.remove()
    work.new_object()
    work.click(0, (300, 100), positive=True)

    for _ in range(4):
        work.undo()
        assert work.scene.prompted == sorted(work.session.object_ids)

    assert work.scene.prompted == [1]


def test_an_object_without_clicks_can_still_be_chosen_and_keeps_its_number(work):
    work.click(0, (95, 238), positive=True)
    work.clear(0)
    work.new_object()

    assert (work.numbers, work.scene.active) == ([1, 2], 2)


def test_a_stop_while_waiting_in_the_queue_counts(work):
    work.click(0, (95, 238), positive=True)
    work.expect_job()
    work.stop()

    assert list(work.track("forward")) == []

    work.expect_job()
    assert next(work.track("forward")).done == 1


def test_every_memory_policy_of_the_page_can_be_tracked_with(work):
    work.click(0, (95, 238), positive=True)

    for name in POLICIES.values():
        work.use_memory_policy(name)
        assert work.session.options.memory_policy == name
    assert {*MEMORY_POLICIES} <= {*POLICIES.values()}
    work.expect_job()
    assert next(work.track("forward")).done == 1


def test_everything_of_a_video_goes_with_it(work, tmp_path):
    made = work.new_folder()
    assert made.parent == tmp_path / "video"

    work.close()

    assert not (tmp_path / "video").exists()
    with pytest.raises(FrameError):
        work.new_folder()


def test_a_stopped_search_in_the_queue_does_not_begin(model):
    photo = PhotoWork("cup", np.zeros((60, 80, 3), np.uint8), model, Limits())
    photo.expect_job()
    photo.stop()

    with pytest.raises(LimitError, match="Stopped"):
        photo.find_all({}, lambda done, total: None)
