"""Several threads use one session: nothing breaks, and nothing comes out that one thread would not.

Threads meet at barriers and queues, never by sleeping; the order of their calls is drawn.
"""

import contextlib
import copy
import inspect
import pickle
import queue
import threading

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError, Sam2Error, SessionError
from sam2_hf.video.compat.transformers_frames import ModelInputFrames
from sam2_hf.video.compat.transformers_inputs import ModelInputPrompts
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session import VideoSession
from sam2_hf.video.session_lock import SessionLock, one_thread_at_a_time
from tests.fakes import FakeModel, fake_session_on

WAIT = 30  # seconds, after which a thread that hangs fails the test


def in_threads(*works):
    """Run works side by side; raise what one of them raised."""
    errors = []
    begin = threading.Barrier(len(works))

    def run(work):
        begin.wait()
        try:
            work()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert not any(thread.is_alive() for thread in threads)
    if errors:
        raise errors[0]


class SlowModel(FakeModel):
    """A fake model that stops inside each frame until somebody lets it go on."""

    def __init__(self):
        super().__init__()
        self.inside, self.go_on = threading.Event(), threading.Event()

    def encode_image(self, pixel_values):
        self.inside.set()
        assert self.go_on.wait(WAIT)
        return super().encode_image(pixel_values)


@pytest.mark.parametrize("verb", ["click", "remove", "preview", "masklet", "clear", "undo"])
def test_a_call_that_comes_within_a_step_waits_for_its_end(verb):
    model = SlowModel()
    session = fake_session_on(6, model)
    session.click(0, 1, (20, 20))
    session.click(0, 2, (40, 40))
    arguments = {
        "click": (0, 3, (30, 30)),
        "remove": (2,),
        "preview": (0,),
        "masklet": (2,),
        "clear": (0, 2),
        "undo": (),
    }[verb]
    results, called = [], threading.Event()

    def interrupt():
        assert model.inside.wait(WAIT)
        threading.Timer(0.02, model.go_on.set).start()
        getattr(session, verb)(*arguments)
        assert model.go_on.is_set()
        called.set()

    in_threads(lambda: results.extend(session.propagate()), interrupt)

    assert called.is_set()
    assert [result.frame for result in results] == list(range(6))


def test_between_two_steps_other_threads_get_their_turn():
    session = fake_session_on(6)
    session.click(0, 1, (20, 20))
    asked, done = queue.Queue(), queue.Queue()

    def clicks():
        for frame in iter(asked.get, None):
            session.click(frame, 1, (30, 30))
            done.put(frame)

    def run():
        for result in session.propagate():
            asked.put(result.frame)
            assert done.get(timeout=WAIT) == result.frame  # would hang if the lock were held
        asked.put(None)

    in_threads(clicks, run)

    assert session.masklet(1).frames == list(range(6))


@pytest.mark.parametrize("seed", range(4))
def test_many_threads_call_what_they_like(seed, tmp_path):
    """Every error is one of ours, and every run ends."""
    session = fake_session_on(8, ram_budget=0, spill_folder=tmp_path)
    session.click(0, 1, (20, 20))

    def user(own):
        rng = np.random.default_rng([seed, own])
        for _ in range(25):
            calls = (
                lambda f, o: session.click(f, o, (20, 20)),
                lambda f, o: session.box(f, o, (5, 5, 20, 20)),
                lambda f, o: session.preview(f).masks,
                lambda f, o: session.clear(f, o),
                lambda f, o: session.remove(o),
                lambda f, o: session.undo(),
                lambda f, o: list(session.masklet(o)),
                lambda f, o: session.frames_to_review(),
                lambda f, o: session.bytes_held(),
                lambda f, o: session.frames.picture(f),
                lambda f, o: (session.object_ids, session.obj_with_new_inputs),
                lambda f, o: [result.masks for result in session.propagate(limit=4)],
            )
            # refused may be, for one, an object that another thread has removed
            with contextlib.suppress(Sam2Error):
                calls[rng.integers(len(calls))](int(rng.integers(8)), int(rng.integers(1, 5)))

    in_threads(*(lambda own=own: user(own) for own in range(6)))

    session.click(0, 1, (20, 20))
    assert len(list(session.propagate(0))) == 8


def test_masklets_are_read_while_another_thread_tracks(tmp_path):
    session = fake_session_on(40, ram_budget=0, spill_folder=tmp_path)
    session.click(0, 1, (20, 20))
    masklet, tracked = session.masklet(1), threading.Event()

    def run():
        for _ in range(3):
            list(session.propagate())
        tracked.set()

    def read():
        while not tracked.is_set():
            for frame in masklet.frames:
                assert masklet.mask(frame).any()
                assert masklet.area(frame) > 0
                assert masklet.object_score(frame) > 0

    in_threads(run, read, read)


def test_a_run_of_a_session_that_another_thread_closes_ends_with_one_clear_error():
    session = fake_session_on(6)
    session.click(0, 1, (20, 20))
    run = session.propagate()
    next(run)

    in_threads(session.close)

    with pytest.raises(SessionError, match="closed"):
        next(run)
    assert list(run) == []


def test_a_run_of_a_settled_session_ends_with_that_error_too():
    session = fake_session_on(6)
    session.click(0, 1, (20, 20))
    run = session.propagate()
    next(run)

    session.settle()

    with pytest.raises(SessionError, match="settle"):
        next(run)
    assert session.masklet(1).frames == [0]


def test_a_stream_takes_frames_from_one_thread_and_clicks_from_another():
    session = fake_session_on(None)
    session.step(np.zeros((64, 64, 3), np.uint8))
    session.click(0, 1, (20, 20))

    def clicks():
        for number in range(30):
            with contextlib.suppress(FrameError):  # dropped meanwhile
                session.click(session.frames.num_received - 1, 1 + number % 3, (30, 30))

    def camera():
        for _ in range(30):
            session.step(np.zeros((64, 64, 3), np.uint8))

    in_threads(clicks, camera)

    assert session.masklet(1).frames[-1] == 30


def test_every_public_method_holds_the_lock():
    """But for those that only hand something out; and also one that a base class gets later."""
    free = {"frames", "model", "options", "num_frames", "size", "object_ids", "open", "load"}
    for kind in (VideoSession, Sam2VideoInferenceSession, ModelInputFrames, ModelInputPrompts):
        for name in dir(kind):
            if name.startswith("_") or name in free:
                continue
            member = getattr(kind, name, None)
            method = member.fget if isinstance(member, property) else member
            if callable(method):
                assert method.__code__.co_name == "alone", name


def test_what_a_locked_base_has_is_locked_once():
    assert Sam2VideoInferenceSession.click is VideoSession.click


def test_a_locked_method_says_what_it_takes():
    assert "positive" in inspect.signature(Sam2VideoInferenceSession.click).parameters


def test_properties_are_set_and_deleted_with_the_lock_held():
    held = []

    class Base:
        def __init__(self):
            self.lock = self

        def __enter__(self):
            held.append("in")

        def __exit__(self, *error):
            held.append("out")

        @property
        def value(self):
            return 1

        @value.setter
        def value(self, value):
            held.append(value)

    @one_thread_at_a_time(but=())
    class Locked(Base):
        """Locked."""

    Locked().value = 5

    assert held == ["in", 5, "out"]
    assert Locked().value == 1


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda lock: pickle.loads(pickle.dumps(lock))]
)
def test_a_copy_of_a_held_lock_is_open(duplicate):
    lock, free = SessionLock(), []
    with lock:
        other = duplicate(lock)

        def enter():
            with other:
                free.append(True)

        in_threads(enter)

    assert free == [True]


def test_equal_calls_give_equal_numbers_whoever_makes_them():
    session, alone = fake_session_on(6), fake_session_on(6)
    in_threads(lambda: session.click(0, 1, (20, 20)), lambda: session.click(3, 2, (40, 40)))
    alone.click(0, 1, (20, 20))
    alone.click(3, 2, (40, 40))

    for one, other in zip(session.propagate(), alone.propagate(), strict=True):
        for number in (1, 2):
            assert torch.equal(
                one.logits_bhw[one.object_ids.index(number)],
                other.logits_bhw[other.object_ids.index(number)],
            )
