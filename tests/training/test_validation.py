import numpy as np
import pytest
from PIL import Image

from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import DataError, TrainingError
from sam2_hf.training import validation as module
from sam2_hf.training.config import ValidationConfig
from sam2_hf.training.dataset_registry import open_source
from sam2_hf.training.validation import (
    Prediction,
    SourceTotal,
    Validation,
    mean_score,
    skip_note,
    training_examples,
)
from tests.drawn_video import drawn_video_model
from tests.training.drawn_data import write_pairs, write_sequence

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def data(tmp_path):
    write_pairs(tmp_path / "pairs", count=5)
    write_sequence(tmp_path / "videos", "one", num_frames=3)
    return tmp_path


@pytest.fixture
def perfect(monkeypatch):
    """A model that finds everything."""
    for name in ("predict_photo", "predict_clip"):
        monkeypatch.setattr(
            module, name, lambda _, clip: Prediction(clip, clip.masks_othw, ((0.0, 0.0),))
        )


def validation(data, **limits):
    sources = (
        SourceConfig("pairs", str(data / "pairs"), name="photos"),
        SourceConfig("davis", str(data / "videos"), name="videos", num_frames=0, batch_size=1),
    )
    config = ValidationConfig(sources, **limits)
    return Validation([open_source(one) for one in sources], config)


def test_photos_and_clips_are_scored(data):
    totals = validation(data).run(drawn_video_model())

    assert [(one.label, one.count) for one in totals] == [("photos", 5), ("videos", 2)]
    assert all(0 <= one.total <= one.count for one in totals)


def test_a_perfect_model_scores_one(data, perfect):
    totals = validation(data).run(drawn_video_model())

    assert mean_score(totals) == 1.0


def test_the_score_is_the_mean_over_sources_of_the_mean_over_objects():
    assert mean_score([SourceTotal("a", 3.0, 4), SourceTotal("b", 0.25, 1)]) == 0.5


def test_limits_hold(data):
    limited = validation(data, max_items=2, max_objects=1)

    totals = limited.run(drawn_video_model())

    assert [one.count for one in totals] == [2, 1]
    assert limited.places(limited.sources[0]) == [0, 2]  # spread over all five


def test_processes_share_the_items(data):
    model, both = drawn_video_model(), validation(data)

    parts = [both.run(model, process, 2)[0] for process in range(2)]

    whole = both.run(model)[0]
    assert [part.count for part in parts] == [3, 2]
    assert sum(part.total for part in parts) == pytest.approx(whole.total)


def test_a_damaged_photo_is_left_out(data):
    (data / "pairs" / "p1.jpg").write_bytes(b"no picture")
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(data / "pairs" / "p2.png")

    photos, videos = validation(data).run(drawn_video_model())

    assert (photos.count, photos.skipped) == (3, 2)
    assert "p1.jpg" in photos.reason
    assert "photos skipped 2 photo(s) or clip(s), such as " in skip_note(photos)
    assert (videos.skipped, videos.reason, skip_note(videos)) == (0, "", "")


def test_a_damaged_photo_ends_the_run_on_request(data):
    (data / "pairs" / "p1.jpg").write_bytes(b"no picture")
    strict = validation(data)
    strict.on_bad_data = "raise"

    with pytest.raises(DataError, match=r"validation on photos: .*p1.jpg"):
        strict.run(drawn_video_model())


def test_nothing_to_validate_on_is_refused():
    with pytest.raises(TrainingError, match="nothing to validate on in b"):
        mean_score([SourceTotal("a", 1.0, 1), SourceTotal("b", 0.0, 0)])


def test_examples_come_from_every_source_and_are_always_the_same(data):
    first, second = (list(validation(data).examples(drawn_video_model(), 2)) for _ in range(2))

    assert [one.clip.name for one in first] == ["p0", "one"]
    assert all(
        np.array_equal(a.found_othw, b.found_othw) for a, b in zip(first, second, strict=True)
    )


def test_sources_of_one_name_are_numbered(data):
    sources = tuple(SourceConfig("pairs", str(data / "pairs"), name="x") for _ in range(2))
    twice = Validation([open_source(one) for one in sources], ValidationConfig(sources))

    assert twice.labels == ["x (1)", "x (2)"]


@pytest.mark.parametrize("name", ["step", "score"])
def test_a_source_called_like_a_column_is_numbered(data, name):
    source = SourceConfig("pairs", str(data / "pairs"), name=name)

    named = Validation([open_source(source)], ValidationConfig((source,)))

    assert named.labels == [f"{name} (1)"]


def test_examples_of_training_are_the_first_of_every_source(data):
    (data / "pairs" / "p1.jpg").write_bytes(b"no picture")
    photos = SourceConfig("pairs", str(data / "pairs"))
    clips = SourceConfig("davis", str(data / "videos"), num_frames=2)
    sources = [open_source(one) for one in (photos, clips)]

    found = list(training_examples(sources, drawn_video_model(), 4))

    assert [one.clip.name for one in found] == ["p0", "one"]  # p1 is damaged; there is one clip
    assert [len(one.clip.frames_thw3) for one in found] == [1, 2]
