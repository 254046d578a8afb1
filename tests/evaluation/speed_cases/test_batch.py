"""Photos and clips a minute of the command line."""

import pytest

from evaluation.speed_cases import batch


def test_the_command_line_is_timed_with_what_it_waits_for(monkeypatch):
    monkeypatch.setattr(batch, "NUM_PHOTOS", 2)
    monkeypatch.setattr(batch, "NUM_CLIPS", 1)
    monkeypatch.setattr(batch, "CLIP_FRAMES", 2)
    monkeypatch.setattr(batch, "CLIP_SIDE", 64)
    monkeypatch.setattr(batch, "GRID", "1")

    rows = {row.case: row for row in batch.time_batches()}

    assert rows["everything, photos"].unit == rows["track, clips of 2 frames"].unit == "/min"
    assert rows["everything, photos"].ours > 0
    shares = [row.ours for case, row in rows.items() if "waited" in case]
    assert len(shares) == 4
    assert all(0 < share < 100 for share in shares)


def test_a_command_that_fails_ends_the_run():
    with pytest.raises(SystemExit, match="failed"):
        batch._run("none", 1, {}, [["everything", "missing.jpg", "--quiet"]])
