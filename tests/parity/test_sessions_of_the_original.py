"""Random sequences of methods, played by facebookresearch/sam2 itself at the same time.

    SAM2_ORIGINAL=path/to/sam2 pytest -m "" tests/parity/test_sessions_of_the_original.py

The checkout is that of 2b90b9f; hydra-core and iopath have to be importable. The original asserts
where an object has lost its last conditioning frame; a sequence ends there.
"""

import os
import sys
import warnings

import numpy as np
import pytest
import torch
from golden_cases import case, seeded_video_model
from PIL import Image
from seeded_inputs import clip
from seeded_weights import draw

from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

CHECKOUT = os.environ.get("SAM2_ORIGINAL")
FRAMES, HEIGHT, WIDTH = 6, 135, 240
CLOSE = 2e-2  # logits of up to some tens, after a dozen steps that each amplify rounding

ROPE = "++model.memory_attention.layer.{}_attention.feat_sizes=[16,16]"
MICRO = [  # as in make_golden.py, which cannot be imported without the original
    "++model.image_size=256",
    "++model.image_encoder.trunk.embed_dim=32",
    "++model.image_encoder.trunk.stages=[1,2,3,1]",
    "++model.image_encoder.trunk.global_att_blocks=[4]",
    "++model.image_encoder.trunk.window_spec=[8,4,7,4]",
    "++model.image_encoder.neck.backbone_channel_list=[256,128,64,32]",
    ROPE.format("self"),
    ROPE.format("cross"),
]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of other packages
    pytest.mark.skipif(CHECKOUT is None, reason="SAM2_ORIGINAL names no checkout of sam2"),
]


class Float32Memories:
    """torch, for the original's predictor, which rounds memories to bfloat16."""

    bfloat16 = torch.float32

    def __getattr__(self, name):
        return getattr(torch, name)


@pytest.fixture(scope="module")
def original():
    sys.path.append(CHECKOUT)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sam2 import sam2_video_predictor
        from sam2.build_sam import build_sam2_video_predictor
    sam2_video_predictor.torch = Float32Memories()
    config = "configs/sam2.1/sam2.1_hiera_t.yaml"
    model = build_sam2_video_predictor(config, None, device="cpu", hydra_overrides_extra=MICRO)
    model.fill_hole_area = 0  # needs a CUDA extension
    shapes = {name: tuple(values.shape) for name, values in model.state_dict().items()}
    model.load_state_dict({n: torch.from_numpy(draw(n, shape)) for n, shape in shapes.items()})
    return model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Frames as lossless files of the name that the original reads."""
    folder = tmp_path_factory.mktemp("clip")
    for number, frame in enumerate(clip(FRAMES, HEIGHT, WIDTH, 3)):
        Image.fromarray(frame).save(folder / f"{number:05d}.png")
        (folder / f"{number:05d}.png").rename(folder / f"{number:05d}.jpg")
    return folder


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


class Original:
    """The original's predictor under our verbs; each returns (object, mask logits) pairs."""

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
    theirs = Original(original, folder)
    ours = Ours(seeded_video_model(case("micro")), folder, looks=looks)
    for call in drawn_calls(seed):
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
