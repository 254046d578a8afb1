"""Random sequences of methods, played by facebookresearch/sam2 itself at the same time.

    pytest -m "" --original CHECKOUT tests/parity/test_sessions_of_the_original.py

SAM2_ORIGINAL may name it, too. The checkout is that of 2b90b9f; hydra-core and iopath have to be
importable. The original asserts where an object has lost its last conditioning frame; a sequence
ends there.
"""

import os

import numpy as np
import pytest
import torch
from golden_cases import case, seeded_video_model
from original_predictor import lossless_folder, original_video_predictor
from PIL import Image

from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session_options import SessionOptions

FRAMES, HEIGHT, WIDTH = 6, 135, 240
CLOSE = 2e-2  # logits of up to some tens, after a dozen steps that each amplify rounding

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of other packages
]


@pytest.fixture(scope="module")
def original(request):
    checkout = request.config.getoption("--original") or os.environ.get("SAM2_ORIGINAL")
    if checkout is None:
        pytest.skip("--original names no checkout of facebookresearch/sam2")
    model = original_video_predictor(checkout)
    model.fill_hole_area = 0
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return lossless_folder(tmp_path_factory.mktemp("clip"), FRAMES, HEIGHT, WIDTH)


def drawn_calls(seed, length=8):
    """Draw calls of both sessions; runs say where they start."""
    rng = np.random.default_rng(seed)
    verbs = ("click", "click", "click", "box", "mask", "propagate", "propagate", "clear", "remove")
    calls = [("click", int(rng.integers(FRAMES)), 1, (100.0, 70.0), 1), ("propagate", 0, 4, False)]
    for _ in range(length):
        verb, frame, number = str(rng.choice(verbs)), int(rng.integers(FRAMES)), rng.integers(1, 4)
        x, y = float(rng.integers(WIDTH - 60)), float(rng.integers(HEIGHT - 60))
        mask = np.zeros((HEIGHT, WIDTH), bool)
        mask[int(y) : int(y) + 50, int(x) : int(x) + 40] = True
        calls.append(
            {
                "click": (verb, frame, int(number), (x, y), int(rng.random() < 0.7)),
                "box": (verb, frame, int(number), (x, y, x + 50, y + 55)),
                "mask": (verb, frame, int(number), mask),
                "clear": (verb, frame, int(number)),
                "remove": (verb, int(number)),
                "propagate": (verb, frame, int(rng.integers(1, 5)), bool(rng.random() < 0.3)),
            }[verb]
        )
    return [*calls, ("propagate", 0, FRAMES, False)]


class ByOriginalNames:
    """A predictor of the original's kind, theirs or ours, under our verbs.

    Each returns frame, object and mask logits.
    """

    def __init__(self, model, folder):
        self.model, self.said = model, {}
        self.state = model.init_state(str(folder))

    def play(self, verb, *arguments):
        return list(getattr(self, verb)(*arguments))

    def click(self, frame, number, xy, label):
        box, clicks = self.said.get((number, frame), (None, ()))
        return self._ask(frame, number, box, (*clicks, (xy, label)))

    def box(self, frame, number, xyxy):
        _, clicks = self.said.get((number, frame), (None, ()))
        return self._ask(frame, number, xyxy, clicks)

    def _ask(self, frame, number, box, clicks):
        self.said[number, frame] = box, clicks
        points = None if not clicks else np.array([xy for xy, _ in clicks], np.float32)
        labels = None if not clicks else np.array([label for _, label in clicks], np.int32)
        found = self.model.add_new_points_or_box(
            self.state, frame, number, points, labels, box=None if box is None else np.array(box)
        )
        return self._rows(*found, only=number)

    def mask(self, frame, number, mask):
        self.said.pop((number, frame), None)
        found = self.model.add_new_mask(self.state, frame, number, torch.from_numpy(mask))
        return self._rows(*found, only=number)

    def clear(self, frame, number):
        if number in self.state["obj_ids"]:
            self.said.pop((number, frame), None)
            self.model.clear_all_prompts_in_frame(self.state, frame, number, need_output=False)
        return ()

    def remove(self, number):
        if number in self.state["obj_ids"]:
            self.said = {key: value for key, value in self.said.items() if key[0] != number}
            self.model.remove_object(self.state, number, need_output=False)
        return ()

    def propagate(self, start, limit, reverse):
        for found in self.model.propagate_in_video(self.state, start, limit - 1, reverse):
            yield from self._rows(*found)

    def _rows(self, frame, ids, logits, only=None):
        rows = zip(ids, logits[:, 0], strict=True)
        return [(frame, number, row.clone()) for number, row in rows if only in (None, number)]


class Ours:
    """Our session, looked at after each prompt or never."""

    def __init__(self, model, folder, *, looks):
        self.looks = looks
        self.session = Sam2VideoInferenceSession.open(
            [np.asarray(Image.open(path)) for path in sorted(folder.iterdir())],
            model,
            compat="official",
            fill_hole_area=0,
            memory_dtype=torch.float32,
        )

    def play(self, verb, *arguments):
        return list(getattr(self, verb)(*arguments))

    def click(self, frame, number, xy, label):
        self.session.click(frame, number, xy, positive=bool(label))
        return self._look(frame, number)

    def box(self, frame, number, xyxy):
        self.session.box(frame, number, xyxy)
        return self._look(frame, number)

    def mask(self, frame, number, mask):
        self.session.mask(frame, number, mask)
        return self._look(frame, number)

    def clear(self, frame, number):
        if number in self.session.object_ids:
            self.session.clear(frame, number)
        return ()

    def remove(self, number):
        if number in self.session.object_ids:
            self.session.remove(number)
        return ()

    def propagate(self, start, limit, reverse):
        for result in self.session.propagate(start, limit, "backward" if reverse else "forward"):
            yield from self._rows(result)

    def _look(self, frame, number):
        return self._rows(self.session.preview(frame), only=number) if self.looks else ()

    def _rows(self, result, only=None):
        rows = zip(result.object_ids, result.video_logits()[:, 0], strict=True)
        return [(result.frame, number, row) for number, row in rows if only in (None, number)]


@pytest.mark.parametrize("looks", [True, False])
@pytest.mark.parametrize("seed", range(6))
def test_any_sequence_gives_what_the_original_gives(original, folder, seed, looks):
    ours = Ours(seeded_video_model(case("micro")), folder, looks=looks)

    play(ByOriginalNames(original, folder), ours, drawn_calls(seed), looks=looks)


@pytest.mark.parametrize("seed", range(6))
def test_so_it_does_by_the_originals_names(original, folder, seed):
    options = SessionOptions.preset("official", fill_hole_area=0, memory_dtype=torch.float32)
    ours = SAM2VideoPredictor.from_model(seeded_video_model(case("micro")), options)

    calls = drawn_calls(seed)
    play(ByOriginalNames(original, folder), ByOriginalNames(ours, folder), calls, looks=True)


def play(theirs, ours, calls, *, looks):
    """Make the same calls of both, until the original fails; hold the answers equal."""
    for call in calls:
        try:
            expected = theirs.play(*call)
        except (AssertionError, RuntimeError):
            break
        found = ours.play(*call)
        if not looks and call[0] in ("click", "box", "mask"):
            expected = []
        assert [row[:2] for row in found] == [row[:2] for row in expected], call
        for (frame, number, one), (_, _, other) in zip(found, expected, strict=True):
            difference = float((one - other).abs().max())
            assert difference <= CLOSE, (call[:3], frame, number, difference)
