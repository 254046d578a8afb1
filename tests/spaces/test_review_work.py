"""The desk of a set to review: its model, and the queue of its masklets."""

from types import SimpleNamespace

import pytest

from sam2_hf.engine.reviews import pending_reviews
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_labels import (
    LabeledMasklet,
    MaskletPrompt,
    VideoLabels,
    read_labels,
    write_labels,
)
from sam2_hf.errors import DataError, SessionError, VideoError
from sam2_space.program import build_parser
from sam2_space.review import review_work
from sam2_space.review.review_work import ReviewDesk, ReviewWork
from sam2_space.server import load_model_and_desk
from sam2_space.space_model import SpaceModel

OTHER = "f" * 64


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A set that another model than the Space's was used for; every model has one fingerprint."""
    monkeypatch.setattr(review_work, "model_mark", lambda _: OTHER)
    folder = SetFolder(tmp_path / "set")
    folder.begin(LabelSettings("some/model", "bfloat16"), [])
    return folder


def stand_in(name):
    return SimpleNamespace(name=name, video=None)


@pytest.mark.parametrize("own", [[], ["--model", "a/copy"]])
def test_a_set_is_reviewed_with_its_own_model_and_data_type(own, folder, monkeypatch):
    def load(source, device=None, detector=None, dtype=None):
        loaded.append((source, dtype))
        return stand_in(source)

    loaded = []
    monkeypatch.setattr(SpaceModel, "load", load)
    monkeypatch.setenv("MODEL", "of/environment")

    _, desk = load_model_and_desk(build_parser().parse_args(["--set", str(folder.root), *own]))
    _, none = load_model_and_desk(build_parser().parse_args(own))

    chosen = own[-1] if own else None
    assert loaded == [(chosen or "some/model", "bfloat16"), (chosen or "of/environment", None)]
    assert desk.model_facts == {"name": "some/model", "fingerprint": OTHER}
    assert none is None


def test_a_set_of_other_weights_is_not_reviewed(folder):
    folder.require_model("some/model", "0" * 64)

    with pytest.raises(DataError, match="labeled with other weights of some/model"):
        ReviewDesk(folder, stand_in("another"))


def write(folder, name, status, score):
    """Write the labels of a video with one masklet."""
    masklet = LabeledMasklet(1, status=status, scores={"stability": score})
    about = VideoLabels(name, name, name, (2, 3), 1, None, "phase3", (masklet,))
    write_labels(folder.labels(name), about, [])


def test_only_labels_that_changed_are_read_again(folder, monkeypatch):
    def read(path):
        paths.append(path.stem)
        return read_labels(path)

    paths = []
    write(folder, "cup", "review", 0.5)
    write(folder, "dog", "review", 0.2)
    monkeypatch.setattr(review_work, "read_labels", read)
    desk, work = ReviewDesk(folder, stand_in("x")), object()

    first, waiting = desk.take_next(work, None)
    assert (first.video_id, waiting, sorted(paths)) == ("dog", 2, ["cup", "dog"])
    write(folder, "dog", "accepted", 0.2)
    second, waiting = desk.take_next(work, None)

    assert (second.video_id, waiting) == ("cup", 1)
    assert paths[2:] == ["dog"]


@pytest.fixture
def work(folder, monkeypatch):
    """The work of a visitor on a set of two masklets; the worse one's video cannot be opened."""

    def opened(work, video_id):
        if video_id == "dog":
            raise VideoError("no dog")
        work._video_id = video_id

    write(folder, "cup", "review", 0.5)
    write(folder, "dog", "review", 0.2)
    monkeypatch.setattr(ReviewWork, "_open_video", opened)
    return ReviewWork(ReviewDesk(folder, stand_in("x")))


def test_a_video_that_cannot_be_opened_does_not_hold_up_the_others(work):
    with pytest.raises(VideoError, match="no dog"):
        work.take_next()

    work.take_next()

    assert work.sheet.video.id == "cup"


def test_a_decision_is_recorded_while_another_worker_has_the_video(work, folder):
    with pytest.raises(VideoError):
        work.take_next()
    work.take_next()

    work.sheet.corrections[0] = MaskletPrompt(0, ((1.0, 1.0, True),))

    with folder.claims.hold("cup"):
        with pytest.raises(SessionError, match="Try again"):
            work.track("Ann")
        assert not pending_reviews(folder, "cup")
        assert work.decide("accepted", "Ann") is False

    assert [review.verdict for review in pending_reviews(folder, "cup")] == ["accepted"]
    with pytest.raises(VideoError):  # what is decided is not offered again
        work.take_next()
    assert work.num_waiting == 1
