"""Dividing videos among processes."""

import pytest

from evaluation.vos.shares import share_of


@pytest.mark.parametrize("processes", [1, 2, 3, 8])
def test_every_video_is_taken_by_exactly_one_process(processes):
    work = [70, 3, 3, 40, 25, 25]

    taken = [item for process in range(processes) for item in share_of(work, process, processes)]

    assert sorted(taken) == list(range(6))


def test_long_videos_are_spread():
    work = [10, 100, 10, 90, 10]

    loads = [sum(work[item] for item in share_of(work, process, 2)) for process in range(2)]

    assert loads == [110, 110]
