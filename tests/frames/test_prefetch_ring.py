import gc
import threading
import time
import weakref

import pytest

from sam2_hf.errors import FrameError
from sam2_hf.frames.prefetch import FrameRing


class Work:
    """Makes an item `10 * frame` of a frame, and notes what it was asked for."""

    def __init__(self, *, seconds=0.0, broken=()):
        self.taken, self.most_held = [], 0
        self.seconds, self.broken = seconds, broken
        self.ring = None

    def __call__(self, frame):
        self.taken.append(frame)
        if self.ring is not None:
            self.most_held = max(self.most_held, self.ring().num_held)
        return lambda: self.finish(frame)

    def finish(self, frame):
        time.sleep(self.seconds)
        if frame in self.broken:
            raise FrameError(f"frame {frame} is broken")
        return 10 * frame


@pytest.fixture
def open_ring():
    """Make rings that are closed at the end."""
    rings = []

    def open_one(work, *, capacity=8, num_threads=2):
        rings.append(FrameRing(work, capacity=capacity, num_threads=num_threads))
        work.ring = weakref.ref(rings[-1])
        return rings[-1]

    yield open_one
    for ring in rings:
        ring.close()


def wait_until(condition):
    """Wait for threads; a second is far more than they need."""
    limit = time.monotonic() + 5
    while not condition() and time.monotonic() < limit:
        time.sleep(0.002)
    assert condition()


def rest(work, ring):
    """Wait until the ring has nothing to do."""
    wait_until(lambda: not ring._busy)
    seen = -1
    while seen != len(work.taken):
        seen = len(work.taken)
        time.sleep(0.03)


def test_nothing_is_read_before_somebody_asks(open_ring):
    before = set(threading.enumerate())
    work = Work()
    open_ring(work)

    assert not work.taken
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize("plan", [range(30), range(29, -1, -1), [5, 3, 3, 9, 0], range(0, 30, 7)])
def test_expected_frames_are_taken_in_order_and_once(open_ring, plan):
    work = Work()
    ring = open_ring(work)
    ring.expect(plan)

    assert [ring.read(frame) for frame in plan] == [10 * frame for frame in plan]
    assert work.taken == list(dict.fromkeys(plan))


def test_decoding_runs_ahead_of_the_reader(open_ring):
    work = Work()
    ring = open_ring(work, capacity=8)

    ring.expect(range(100))

    wait_until(lambda: len(work.taken) == 6)  # two places stay for frames that were read


@pytest.mark.parametrize("capacity", [1, 2, 3, 8])
@pytest.mark.parametrize("num_threads", [1, 4])
def test_no_more_frames_are_held_than_there_are_places(open_ring, capacity, num_threads):
    work = Work()
    ring = open_ring(work, capacity=capacity, num_threads=num_threads)
    ring.expect(range(60))

    for frame in [*range(20), 50, 3, *range(20, 40), 59, 0]:
        assert ring.read(frame) == 10 * frame
        assert ring.num_held <= capacity

    assert work.most_held <= capacity


def test_a_frame_that_was_just_read_is_still_there(open_ring):
    work = Work()
    ring = open_ring(work)
    ring.expect(range(20))

    for frame in range(20):
        ring.read(frame)
        rest_of_the_frame = ring.read(frame)

    assert rest_of_the_frame == 190
    assert work.taken == list(range(20))


def test_any_frame_can_be_read_without_a_plan(open_ring):
    ring = open_ring(Work())

    assert [ring.read(frame) for frame in (7, 0, 99, 7)] == [70, 0, 990, 70]


def test_reading_further_on_in_the_plan_skips_what_lies_between(open_ring):
    work = Work()
    ring = open_ring(work, capacity=4)
    ring.expect(range(100))

    ring.read(50)
    rest(work, ring)

    assert 51 in work.taken
    assert 30 not in work.taken


def test_a_new_plan_replaces_the_old_one_and_its_unread_frames(open_ring):
    work = Work()
    ring = open_ring(work, capacity=4)
    ring.expect(range(100))
    rest(work, ring)

    ring.expect(range(60, 100))
    rest(work, ring)

    assert work.taken == [0, 1, 2, 60, 61, 62]


def test_an_error_in_a_thread_is_raised_by_its_frame_and_no_other(open_ring):
    ring = open_ring(Work(broken={2}))
    ring.expect(range(5))

    assert [ring.read(0), ring.read(1)] == [0, 10]
    with pytest.raises(FrameError, match="frame 2 is broken"):
        ring.read(2)
    assert [ring.read(3), ring.read(4)] == [30, 40]


def test_a_broken_frame_is_tried_anew(open_ring):
    work = Work(broken={0})
    ring = open_ring(work)
    with pytest.raises(FrameError):
        ring.read(0)

    work.broken = ()

    assert ring.read(0) == 0


def test_an_error_of_taking_is_kept_too(open_ring):
    def take(frame):
        raise ValueError(frame)

    ring = open_ring(Work())
    ring._take = take

    with pytest.raises(ValueError, match="4"):
        ring.read(4)


def test_two_threads_work_at_once_while_frames_are_taken_one_by_one(open_ring):
    both = threading.Barrier(2, timeout=5)
    ring = open_ring(Work())
    ring._take = lambda frame: lambda: both.wait() >= 0

    ring.expect(range(2))

    assert ring.read(0)
    assert ring.read(1)


def test_closing_ends_the_threads_and_can_be_repeated(open_ring):
    ring = open_ring(Work(seconds=0.01))
    ring.expect(range(1000))

    ring.close()
    ring.close()

    assert not [thread for thread in ring._threads if thread.is_alive()]
    with pytest.raises(FrameError, match=r"frame 3 .* closed"):
        ring.read(3)


def test_closing_frees_a_reader_that_waits(open_ring):
    ring = open_ring(Work(seconds=0.3))
    threading.Timer(0.05, ring.close).start()

    with pytest.raises(FrameError, match="closed"):
        ring.read(0)


def test_several_threads_may_read(open_ring):
    ring = open_ring(Work())
    ring.expect(range(200))
    wrong = []

    def read(offset):
        wrong.extend(n for n in range(offset, 200, 3) if ring.read(n) != 10 * n)

    threads = [threading.Thread(target=read, args=(offset,)) for offset in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert not wrong


def test_items_are_let_go_when_the_ring_is_closed(open_ring):
    class Item:
        pass

    ring = open_ring(Work())
    ring._take = lambda frame: Item
    item = weakref.ref(ring.read(0))

    ring.close()
    gc.collect()

    assert item() is None
