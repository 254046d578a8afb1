"""Random sequences of methods, with looks in between and without, give what decoding at once gives.

`eager_session.py` is that other implementation. A sequence is a list of calls that is drawn first,
so that every session gets the same one.
"""

import numpy as np
import pytest
import torch

from sam2_hf.errors import NoPromptError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, noise_clip
from tests.video.eager_session import EagerSession, NothingToTrackError
from tests.video.mixing_model import MixingModel

FRAMES, HEIGHT, WIDTH = 7, 48, 72
OPTIONS = {
    "default": {},
    "official": {"compat": "official"},
    "transformers": {"compat": "transformers"},
}
PROMPTS = ("click", "click", "click", "box", "mask")
OTHERS = ("propagate",) * 4 + ("clear",) * 3 + ("undo", "undo", "remove", "look", "look", "reset")
CLOSE = 1e-3  # logits: objects that are tracked together may be summed in another order


def drawn_call(rng, verbs, prompted):
    """Draw a call: a name and its arguments. What is `prompted` may well be meant again."""
    verb = str(rng.choice(verbs))
    frame, object_id = int(rng.integers(FRAMES)), int(rng.choice([1, 1, 1, 2, 3]))
    if verb == "clear" or rng.random() < 0.2:
        frame, object_id = prompted[rng.integers(len(prompted))]
    if verb in PROMPTS:
        prompted.append((frame, object_id))
    x, y = float(rng.integers(WIDTH - 20)), float(rng.integers(HEIGHT - 20))
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[int(y) : int(y) + 19, int(x) : int(x) + 17] = True
    arguments = {
        "click": (frame, object_id, (x, y), bool(rng.random() < 0.7)),
        "box": (frame, object_id, (x, y, x + 15, y + 18)),
        "mask": (frame, object_id, mask),
        "clear": (frame, object_id),
        "remove": (object_id,),
        "look": (frame,),
    }
    if verb != "propagate":
        return verb, arguments.get(verb, ())
    start = None if rng.random() < 0.4 else frame
    limit = None if rng.random() < 0.3 else int(rng.integers(1, 5))
    course = str(rng.choice(["forward", "forward", "backward", "both"]))
    inside = {}  # after which step, what is called
    if rng.random() < 0.5:
        verbs = (*PROMPTS, "clear", "remove", "undo", "look")
        inside = {int(rng.integers(4)): drawn_call(rng, verbs, prompted) for _ in range(2)}
    return verb, (start, limit, course, inside)


def drawn_sequence(seed, length=12):
    rng = np.random.default_rng(seed)
    prompted = [(int(rng.integers(FRAMES)), 1)]
    first = ("click", (prompted[0][0], 1, (30.0, 20.0), True))
    calls = [drawn_call(rng, PROMPTS + OTHERS, prompted) for _ in range(length)]
    return [first, *calls, ("propagate", (0, None, "forward", {}))]


def called(session, call):
    """Call a method that is no run; what is not there is not asked for."""
    verb, arguments = call
    known = list(session.objects if isinstance(session, EagerSession) else session.object_ids)
    if verb == "clear" and arguments[1] not in known:
        return
    if verb == "remove" and arguments[0] not in known:
        return
    if verb == "click":
        frame, object_id, xy, positive = arguments
        session.click(frame, object_id, xy, positive=positive)
    else:
        getattr(session, verb)(*arguments)


class Lazy:
    """Our session; it is looked at where the sequence says so, everywhere, or never."""

    def __init__(self, session, looks):
        self.session, self.looks = session, looks

    def play(self, calls):
        """Call one after the other; what came out of runs and looks: kind, frame, rows."""
        for call in calls:
            verb, arguments = call
            if verb == "look":
                if self.looks != "never":
                    yield "look", arguments[0], self.look(*arguments)
            elif verb == "propagate":
                yield from self.run(*arguments)
            else:
                called(self.session, call)
            if self.looks == "always":
                self.look_around()

    def run(self, start, limit, course, inside):
        try:
            for step, result in enumerate(self.session.propagate(start, limit, course)):
                yield "run", *self.read(result)
                if step in inside:
                    yield from self.play([inside[step]])
        except (NoPromptError, NothingToTrackError):
            yield "refused", None, {}

    def look(self, frame):
        return self.read(self.session.preview(frame))[1]

    def read(self, result):
        parts = zip(result.logits_bhw, result.score_b, result.iou_b, strict=True)
        return result.frame, dict(zip(result.object_ids, parts, strict=True))

    def look_around(self):
        for frame in range(FRAMES):
            self.session.preview(frame)
        for number in self.session.object_ids:
            _ = self.session.masklet(number).frames
        self.session.bytes_held()


class Eager(Lazy):
    """The other implementation."""

    def look(self, frame):
        return self.read((frame, self.session.preview(frame)))[1]

    def read(self, result):
        frame, found = result
        return frame, {
            number: (output["logits"][0, 0], output["score"][0, 0], output["iou"][0, 0])
            for number, output in found.items()
        }


def played(calls, options, looks, model):
    arguments = {"memory_dtype": torch.float32, **OPTIONS[options]}
    clip = noise_clip(FRAMES, HEIGHT, WIDTH)
    if looks == "eager":
        with torch.no_grad():
            return list(Eager(EagerSession(clip, model, **arguments), looks).play(calls))
    with Sam2VideoInferenceSession.open(clip, model, **arguments) as session:
        return list(Lazy(session, looks).play(calls))


def assert_same(found, expected, what, tolerance=0.0):
    assert [one[:2] for one in found] == [one[:2] for one in expected], what
    for place, ((*at, ours), (_, _, theirs)) in enumerate(zip(found, expected, strict=True)):
        assert ours.keys() == theirs.keys(), (what, place, at)
        for number, values in ours.items():
            for one, other in zip(values, theirs[number], strict=True):
                difference = float((one - other).abs().max())
                assert difference <= tolerance, (what, place, at, number, difference)


def check(seed, options, model, tolerance=0.0):
    """Play a sequence in all four ways."""
    calls = drawn_sequence(seed)
    sometimes, always, never, eager = (
        played(calls, options, looks, model) for looks in ("sometimes", "always", "never", "eager")
    )
    assert_same(always, sometimes, (seed, "looked at all the time"))
    runs = [one for one in sometimes if one[0] != "look"]
    assert_same(never, runs, (seed, "never looked at"))
    assert_same(sometimes, eager, (seed, "decoded at once"), tolerance)


@pytest.mark.parametrize("options", OPTIONS)
def test_any_sequence_gives_what_decoding_at_once_gives(options):
    """With and without looks in between, to the bit."""
    for seed in range(70):
        check(seed, options, MixingModel())


@pytest.mark.slow
@pytest.mark.parametrize("options", OPTIONS)
def test_any_of_many_sequences_does(options):
    for seed in range(1000, 1100):
        check(seed, options, MixingModel())


@pytest.mark.parametrize("options", OPTIONS)
def test_so_it_does_with_a_real_model(options):
    check(8, options, drawn_video_model(), CLOSE)
