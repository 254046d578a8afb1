from collections import Counter

import pytest
import torch

from sam2_hf.data.config import Augmentation, DataMixture, SourceConfig
from sam2_hf.errors import DataError, TrainingError
from sam2_hf.training.data_loader import ClipRequest, ClipStream
from tests.training.drawn_data import photo, save, write_pairs, write_sequence


@pytest.fixture
def photos(tmp_path):
    return write_pairs(tmp_path / "photos", count=5)


def pairs(path, **values):
    return SourceConfig(
        "pairs", str(path), **{"batch_size": 4, "augment": Augmentation(), **values}
    )


def stream(*sources, **values):
    return ClipStream(DataMixture(sources, 32, **values))


def same(batch, other):
    return torch.equal(batch.clips_bt3hw, other.clips_bt3hw) and torch.equal(
        batch.labels_bothw, other.labels_bothw
    )


def test_the_same_request_gives_the_same_batch(photos):
    first, second = (stream(pairs(photos)) for _ in range(2))
    first[ClipRequest(9)]

    batch, again = first[ClipRequest(2)], second[ClipRequest(2)]

    assert same(batch, again)
    assert torch.equal(batch.seeds_b, again.seeds_b)
    assert not same(batch, first[ClipRequest(3)])


def test_parts_together_are_the_whole(photos):
    drawn = stream(pairs(photos))

    whole = drawn[ClipRequest(1)]
    parts = [drawn[ClipRequest(1, part, 4)] for part in range(4)]

    assert torch.equal(torch.cat([part.clips_bt3hw for part in parts]), whole.clips_bt3hw)
    assert torch.cat([part.seeds_b for part in parts]).tolist() == whole.seeds_b.tolist()
    assert [name for part in parts for name in part.names] == list(whole.names)


def test_another_seed_gives_other_clips(photos):
    assert not same(*(stream(pairs(photos), seed=seed)[ClipRequest(0)] for seed in (0, 1)))


def test_what_a_stream_holds_is_told_by_names_wherever_its_folders_lie(photos, tmp_path):
    made_up = SourceConfig("synthetic", str(photos), options={"annotated": [f"pairs:{photos}"]})
    before = stream(pairs(photos, name="a"), made_up).fingerprints()
    moved = photos.rename(tmp_path / "moved")
    moved_up = SourceConfig("synthetic", str(moved), options={"annotated": [f"pairs:{moved}"]})

    there = stream(pairs(moved, name="a"), moved_up).fingerprints()
    next(moved.glob("*.jpg")).unlink()
    fewer = stream(pairs(moved, name="a"), moved_up).fingerprints()

    assert before[0] == there[0]
    assert before[0].startswith("a: 5 items ")
    assert before[1].split(": ")[-1] == there[1].split(": ")[-1]
    assert fewer[0].startswith("a: 4 items ")
    assert fewer[1].split(": ")[-1] != there[1].split(": ")[-1]


def test_nothing_global_is_drawn_from(photos):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)

    stream(pairs(photos))[ClipRequest(0)]

    assert torch.equal(torch.rand(3), expected)


def test_a_step_takes_all_its_clips_from_one_source(photos, tmp_path):
    write_sequence(tmp_path, "bear")
    video = SourceConfig("davis", str(tmp_path), "film", batch_size=2, num_frames=3, weight=2.0)
    drawn = stream(pairs(photos, name="photos"), video)

    batches = [drawn[ClipRequest(step)] for step in range(30)]

    shapes = {(batch.source, *batch.clips_bt3hw.shape[:2]) for batch in batches}
    assert shapes == {("photos", 4, 1), ("film", 2, 3)}
    assert 12 < Counter(batch.source for batch in batches)["film"] < 28


def test_an_epoch_takes_every_item_once(photos):
    drawn = stream(pairs(photos, batch_size=1))

    names = [drawn[ClipRequest(step)].names[0] for step in range(10)]

    assert sorted(names[:5]) == sorted(names[5:]) == [f"p{number}" for number in range(5)]
    assert drawn.steps_per_epoch() == 5
    assert stream(pairs(photos, repeat=2)).steps_per_epoch() == 2.5


def test_a_damaged_photo_is_replaced_and_reported(photos):
    path = photos / "p2.jpg"
    path.write_bytes(path.read_bytes()[:200])
    drawn = stream(pairs(photos, batch_size=5))

    batches = [drawn[ClipRequest(step)] for step in range(3)]

    assert all(len(batch.names) == 5 and "p2" not in batch.names for batch in batches)
    assert all(len(batch.skipped) == 1 for batch in batches)
    assert "p2.jpg cannot be read as an image" in batches[0].skipped[0]


def test_a_mask_of_another_size_is_replaced_and_reported(photos):
    save(photo()[:30], photos / "p1.jpg")

    batch = stream(pairs(photos, batch_size=5))[ClipRequest(0)]

    assert "masks are 64x48 (width x height), but the picture is 64x30" in batch.skipped[0]


def test_an_empty_mask_is_replaced_and_reported(photos):
    save(photo()[..., 0] * 0, photos / "p3.png")

    batch = stream(pairs(photos, batch_size=5))[ClipRequest(0)]

    assert "p3" not in batch.names
    assert "no object of a usable size" in batch.skipped[0]


def test_bad_data_ends_a_run_that_asks_for_it(photos):
    (photos / "p2.png").write_bytes(b"nothing")
    drawn = stream(pairs(photos, batch_size=5), on_bad_data="raise")

    with pytest.raises(DataError, match=r"pairs:.*p2.png cannot be read"):
        drawn[ClipRequest(0)]


def test_a_source_with_nothing_but_bad_items_ends_with_an_error(photos):
    for path in photos.glob("*.jpg"):
        path.write_bytes(b"nothing")

    with pytest.raises(DataError, match=r"none of 5 item\(s\) in a row can be used.*The first: p"):
        stream(pairs(photos))[ClipRequest(0)]


def test_a_batch_that_does_not_split_says_what_would(photos):
    with pytest.raises(TrainingError, match=r"batch_size=4 .* into 3 equal parts.*multiple of 3"):
        stream(pairs(photos))[ClipRequest(0, 0, 3)]


def test_whole_sequences_come_one_at_a_time(tmp_path):
    write_sequence(tmp_path, "bear", num_frames=3)
    write_sequence(tmp_path, "camel", num_frames=5)
    film = SourceConfig("davis", str(tmp_path), batch_size=2, num_frames=0)

    lengths = {stream(film)[ClipRequest(0, part, 2)].clips_bt3hw.shape[1] for part in range(2)}

    assert lengths == {3, 5}
    with pytest.raises(TrainingError, match="Set batch_size=1"):
        stream(film)[ClipRequest(0)]
