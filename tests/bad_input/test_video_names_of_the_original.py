"""The original's names for videos are a border too: what cannot be used is refused."""

from functools import partial

import numpy as np
import pytest
import torch

from sam2_hf.original.sam2_camera_predictor import SAM2CameraPredictor
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from tests.bad_input.judging import Input, each, equals, faults_of
from tests.bad_input.odd_values import (
    NO_BOXES,
    NO_COORDINATES,
    NO_FLAGS,
    NO_FRAMES,
    NO_IDS,
    NOTHING,
    no_masks,
)
from tests.bad_input.test_prompts import ODD_OPTIONS, ODD_PICTURES
from tests.video.transformers_usage import SIZE, clip

CLIP = clip(3)
NO_VIDEOS = {
    "a number": 7,
    "an object": NOTHING,
    "nowhere": "nowhere.mp4",
    "an address": "https://example.org/clip.mp4",
    "a nul": "a\0b",
    "bytes": b"clip.mp4",
    "a dictionary": {"images": CLIP},
    "no frame": [],
    "words": ["a", "b"],
    "two videos": [CLIP, CLIP],
    "a vector": np.zeros(3),
}


@pytest.fixture(scope="module")
def predictor(tiny_video_model):
    return SAM2VideoPredictor(tiny_video_model)


def asked(predictor, frame=0, number=1, **given):
    """Open a clip, prompt an object; return what is seen."""
    state = predictor.init_state(CLIP)
    given = given or {"points": [(30, 20)], "labels": [1]}
    return predictor.add_new_points_or_box(state, frame, number, **given)[2]


def points(predictor):
    ask = partial(asked, predictor)
    for place, where in {"x": lambda v: (v, 20), "y": lambda v: (30, v), "alone": list}.items():
        values = {name: value for name, value in NO_COORDINATES.items() if place != "alone"}
        call = lambda v, w=where: ask(points=[w(v)], labels=[1])  # noqa: E731
        yield from each(f"points, {place}", values, call)
    known = ("-1", "2", "a list of 2", "bytes")  # no point at all; a corner of a box; a 1
    labels = lambda value: ask(points=[(30, 20)], labels=[value])  # noqa: E731
    yield from each("labels", NO_FLAGS, labels, known)
    yield from each("frame_idx", NO_FRAMES, lambda v: ask(v, 1))
    yield from each("obj_id", NO_IDS, lambda v: ask(0, v))
    right = equals(partial(ask, points=[(30.0, 20.0)], labels=[1]))
    for name, given in {
        "texts": {"points": [("30", "20")], "labels": ["1"]},
        "tensors": {"points": torch.tensor([[[30, 20]]]), "labels": torch.tensor([[1]])},
        "True": {"points": [(30, 20)], "labels": [True]},
        "a pair": {"points": (30, 20), "labels": 1},
    }.items():
        yield Input(f"a point as {name}", partial(ask, **given), right)


def boxes_and_masks(predictor):
    yield from each("box", NO_BOXES, lambda box: asked(predictor, box=box))
    any_size = ("another size", "turned")

    def give(mask):
        return predictor.add_new_mask(predictor.init_state(CLIP), 0, 1, mask)

    yield from each("mask", no_masks(SIZE), give, any_size)


def videos(predictor):
    yield from each("video_path", NO_VIDEOS, predictor.init_state)
    flags = {name: value for name, value in NO_FLAGS.items() if name != "10^400"}
    yield from each("offload", flags, lambda v: predictor.init_state(CLIP, v))
    yield from each("offload of state", flags, lambda v: predictor.init_state(CLIP, False, v))
    yield from each("frames", ODD_PICTURES, lambda v: add_frame(predictor, v))
    camera = SAM2CameraPredictor(predictor.model)
    yield from each("load_first_frame", ODD_PICTURES, camera.load_first_frame)


def add_frame(predictor, picture):
    return predictor.add_new_frame(predictor.init_state(None), picture)


def verbs(predictor):
    state = predictor.init_state(CLIP)
    predictor.add_new_points_or_box(state, 0, 1, [(30, 20)], [1])
    run = lambda **given: list(predictor.propagate_in_video(state, **given))  # noqa: E731
    leave = ("None",)
    yield from each("start_frame_idx", NO_FRAMES, lambda v: run(start_frame_idx=v), leave)
    limits = {
        name: value for name, value in NO_IDS.items() if name not in ("None", "10^30", "10^400")
    }
    yield from each("max_frame_num_to_track", limits, lambda v: run(max_frame_num_to_track=v))
    yield from each("clear", NO_IDS, lambda v: predictor.clear_all_prompts_in_frame(state, 0, v))
    yield from each(
        "clear on", NO_FRAMES, lambda v: predictor.clear_all_prompts_in_frame(state, v, 1)
    )
    yield from each("remove", NO_IDS, lambda v: predictor.remove_object(state, v, strict=True))
    for name in ("fill_hole_area", "memory_temporal_stride_for_eval", "non_overlap_masks"):
        leave = ("True",) if name.startswith("non") else ("10^400",)
        yield from each(f"{name} set to", ODD_OPTIONS, partial(setattr, predictor, name), leave)


def states(predictor):
    no_states = (None, {}, [], 7, "state", NOTHING, predictor)
    yield from each("inference_state", no_states, predictor.propagate_in_video_preflight)
    for key in ("video_height", "video_width", "num_frames"):
        state = predictor.init_state(CLIP)
        values = NO_IDS | {"-1": -1, "0": 0}
        leave = ("None", "10^30", "10^400") if key != "num_frames" else ()
        yield from each(f"state {key}", values, partial(state.__setitem__, key), leave)
    state = predictor.init_state(CLIP)
    images = (7, "clip.mp4", b"clip", {0: CLIP}, NOTHING, True)
    yield from each("state images", images, partial(state.__setitem__, "images"))
    features = (None, 7, [], {0: 1}, NOTHING)
    yield from each(
        "state cached_features", features, partial(state.__setitem__, "cached_features")
    )


BORDERS = {border.__name__: border for border in (points, boxes_and_masks, videos, verbs, states)}


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
def test_what_cannot_be_used_is_refused_or_read_rightly(predictor, border):
    count, faults = faults_of(border(predictor))

    assert count >= 35
    assert not faults, f"{len(faults)} of {count} inputs:\n" + "\n".join(faults)
