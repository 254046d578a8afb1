"""The `video/*` entries of the golden files, under `compat="official"`.

What is exact and what is not: prompts and given masks lead to the same logits to rounding, and so
does everything that is tracked from a given mask (case B). Where a clicked mask is remembered
(cases A, B3 on), it is binarised first, and a pixel whose logit lies within rounding of 0 may fall
on either side: one such pixel changes a quarter of the micro model's memory by up to 0.5. With
equal masks the memories are equal to 5e-6. The original itself, run on another machine than the one
that wrote the files, is off by as much: at 512, 4.5e-2 on logits and 0.6 % of an area of A2, and
1.2 % of the area of A3; at 1024 (tiny) 41 % of the area of A3, where two candidates are nearly as
good and the other one is chosen.
"""

import numpy as np
import pytest
import torch
from golden_cases import RELEASED, case, probe, seeded_video_model
from seeded_inputs import clip

from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

WIDE = "sam2.1_hiera_tiny"  # a frame of it takes seconds: what 512 shows is not shown again
FRAMES = {"micro": 12, "micro20": 12, "512": 10, WIDE: 9}  # of the clip; 3 for all others
FEW = 2  # a prompted frame and one that is tracked from it
TRACKED = FRAMES | {WIDE: 5}  # frames of case A that are compared; FEW for all others
LONG = [
    "micro",
    "micro20",
    pytest.param("512", marks=pytest.mark.slow),
    pytest.param(WIDE, marks=pytest.mark.slow),
]
# The memory's weights are the same at every width, and test_golden_images.py has the large encoder.
SHORT = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in RELEASED
    if name not in FRAMES and "large" not in name
]
TRACKED_AREA, TRACKED_SPREAD = 0.005, 0.02  # as tests/golden/README.md asks for
# At full width the original on another machine is up to 0.6 % from its own files, this model in
# float64, too (small), and in float32 1.1 % where the CPU has AVX2 alone.
WIDE_AREA = 0.015
# The file of the small model is 7.1e-3 from this model in float64, where a clicked mask of a video
# is drawn. This model in float32 is 0.8e-3 from it, and 2.2e-3 with fast paths.
WIDE_LOGIT = 1e-2
TRACKED_LOGIT = 0.05  # of the deviation; measured 0.02
# The corrected frame starts from a tracked mask, and a mask prompt amplifies its difference again.
CORRECTED_AREA = {"micro": 0.005, "micro20": 0.005, "512": 0.05}  # tiny: any, see above
CORRECTED_LOGIT = 0.2  # of the deviation; at 512 one or two threads alone make 0.02 of it
FEW_PIXELS = 20  # of 518,400: logits within rounding of 0, at whatever area


def open_session(name, model):
    """A session with the options under which the files were written; encodes each frame once."""
    frames = list(clip(FRAMES.get(name, 3), 540, 960, 3))
    return Sam2VideoInferenceSession.open(
        frames,
        model,
        compat="official",
        fill_hole_area=0,  # did not run in the original
        memory_dtype=torch.float32,
        cached_features=len(frames),
    )


def click_and_box(session, limit):
    """Case A as far as its first tracking; yields (tag, result)."""
    session.click(0, 2, [(200, 300), (275, 175)], positive=[True, False])
    yield "A0", session.preview(0)
    session.box(0, 5, (300, 0, 500, 400))
    yield "A1", session.preview(0)
    for result in session.propagate(limit=limit):
        yield "A2", result


class Subject:
    """One architecture after the first tracking of case A, with what was stored by then."""

    def __init__(self, name):
        self.name, self.num_tracked = name, TRACKED.get(name, FEW)
        self.middle = FRAMES.get(name, 3) // 2
        self.exact = case(name).logit_tolerance if name.startswith("micro") else WIDE_LOGIT
        self.model = seeded_video_model(case(name))
        self.session = open_session(name, self.model)  # for one test alone to go on with
        self.steps = list(click_and_box(self.session, self.num_tracked))
        self.stored = {
            (object_id, frame): stored(self.session, object_id, frame)
            for object_id in (2, 5)
            for frame in range(self.num_tracked)
        }


@pytest.fixture(scope="module")
def subject(request):
    return Subject(request.param)


def compare(golden, tag, result, area=None, logit=None):
    """Hold a result to its entry; `logit` is absolute, or a part of the deviation if None."""
    area = area or (TRACKED_AREA if result.logits_bhw.shape[-1] == 64 else WIDE_AREA)
    key = f"video/{tag}/{result.frame:03d}"
    logits = result.video_logits()
    deviation = float(golden[f"{key}/logits/std"])
    areas = (logits > 0).flatten(1).sum(1).numpy()
    worst = np.abs(probe(logits) - golden[f"{key}/logits/val"]).max()

    assert list(result.object_ids) == golden[f"{key}/ids"].tolist(), key
    assert tuple(logits.shape) == tuple(golden[f"{key}/logits/shape"]), key
    wrong = np.abs(areas - golden[f"{key}/area"])
    assert (wrong <= area * golden[f"{key}/area"] + FEW_PIXELS).all(), f"{key}: area off by {wrong}"
    assert worst <= (TRACKED_LOGIT * deviation if logit is None else logit), f"{key}: {worst:.1e}"
    assert abs(logits.std().item() - deviation) <= TRACKED_SPREAD * deviation, key


@pytest.mark.parametrize("subject", [*LONG, *SHORT], indirect=True)
def test_clicks_and_boxes_are_answered_and_tracked_as_in_the_original(golden, subject):
    assert len(subject.steps) == 2 + subject.num_tracked
    for tag, result in subject.steps:
        logit = subject.exact if result.frame == 0 else None
        compare(golden(subject.name), tag, result, logit=logit)


def stored(session, object_id, frame):
    """Spatial memory, pointer, low-resolution logits and object score of an object on a frame."""
    one = session._tracker.objects[object_id]
    answer = one.last_output(frame)
    memory = one.bank.prompted.get(frame)
    if memory is not None:
        return memory.spatial_bx, memory.pointer_bd, answer.logits_1hw, answer.score_1
    record = session._tracker.registry.store.get((object_id, frame, "memory"))
    return record["spatial"], record["pointer"], answer.logits_1hw, answer.score_1


@pytest.mark.parametrize("subject", [*LONG, *SHORT], indirect=True)
def test_memories_and_pointers_are_stored_as_in_the_original(golden, subject):
    entries = golden(subject.name)
    for index, object_id in enumerate((2, 5)):
        for frame in range(subject.num_tracked):
            key = f"video/A2state/{index}/{frame:03d}"
            memory, pointer, logits, score = subject.stored[object_id, frame]
            wrong = np.abs(probe(memory) - entries[f"{key}/memory/val"])
            # a pixel that is binarised the other way reaches part of the map only
            spread = entries[f"{key}/memory/std"]
            assert np.median(wrong) <= 0.01 * spread, f"{key}: {np.median(wrong):.1e}, {spread:.2f}"
            assert wrong.max() <= 0.5, key
            assert np.abs(probe(pointer) - entries[f"{key}/pointer/val"]).max() <= 2e-2, key
            low_res = np.abs(probe(logits) - entries[f"{key}/low_res/val"])
            assert low_res.max() <= TRACKED_LOGIT * entries[f"{key}/low_res/std"], key
            assert abs(score.item() - entries[f"{key}/score"].item()) <= 1e-2, key


@pytest.mark.parametrize("subject", ["micro", "micro20"], indirect=True)
def test_memories_are_equal_where_no_pixel_is_binarised_the_other_way(golden, subject):
    """Object 2 of the micro models has no such pixel: everything is within rounding."""
    for frame in range(subject.num_tracked):
        key = f"video/A2state/0/{frame:03d}"
        for part, values in zip(
            ("memory", "pointer", "low_res"), subject.stored[2, frame][:3], strict=True
        ):
            wrong = np.abs(probe(values) - golden(subject.name)[f"{key}/{part}/val"]).max()
            assert wrong <= 1e-3, f"{key}/{part}: {wrong:.1e}"


@pytest.mark.parametrize("subject", LONG, indirect=True)
def test_a_correction_is_answered_and_lost_as_in_the_original(golden, subject):
    name, session, middle = subject.name, subject.session, subject.middle

    session.click(middle, 2, (250, 220), positive=False)

    corrected = session.preview(middle)
    if name in CORRECTED_AREA:
        limit = CORRECTED_LOGIT * float(golden(name)[f"video/A3/{middle:03d}/logits/std"])
        compare(golden(name), "A3", corrected, area=CORRECTED_AREA[name], logit=limit)
    assert list(corrected.object_ids) == golden(name)[f"video/A3/{middle:03d}/ids"].tolist()
    for result in session.propagate(limit=FEW if name == WIDE else None):
        compare(golden(name), "A4", result)


@pytest.mark.parametrize("subject", LONG, indirect=True)
def test_a_mask_is_tracked_both_ways_and_objects_come_and_go(golden, subject):
    name, exact, middle = subject.name, subject.exact, subject.middle
    session = open_session(name, subject.model)
    rows, columns = np.mgrid[:540, :960]
    session.mask(middle, 1, (rows - 250) ** 2 + (columns - 420) ** 2 < 90**2)

    compare(golden(name), "B0", session.preview(middle), logit=exact)
    limit = FEW if name == WIDE else None
    for result in session.propagate(start=middle, limit=limit):
        compare(golden(name), "B1", result, logit=exact)
    if name == WIDE:
        return  # what follows remembers the whole run
    for result in session.propagate(start=middle, direction="backward"):
        compare(golden(name), "B2", result, logit=exact)
    session.click(middle + 1, 7, (700, 300))
    compare(golden(name), "B3", session.preview(middle + 1), logit=exact)
    for result in session.propagate():
        compare(golden(name), "B4", result)
    session.remove(1)
    assert list(session.object_ids) == golden(name)["video/B5/ids"].tolist()
    for result in session.propagate(start=middle + 1):
        compare(golden(name), "B6", result)


@pytest.mark.parametrize("subject", LONG, indirect=True)
def test_an_absent_object_has_no_pixel_anywhere(golden, subject):
    """The score's bias is lowered by 6, as when the files were written."""
    session, limit = open_session(subject.name, subject.model), FEW if subject.name == WIDE else 4
    bias = subject.model.mask_decoder.pred_obj_score_head.proj_out.bias

    with torch.no_grad():
        bias -= 6
    try:
        session.click(0, 1, (200, 300))
        results = list(session.propagate(limit=limit))
    finally:
        with torch.no_grad():
            bias += 6

    assert len(results) == limit
    for result in results:
        compare(golden(subject.name), "C", result, logit=0.0)
        assert result.object_score[1] < 0
