"""Prompts and options that are none: every border of the API refuses them, or answers rightly."""

from collections.abc import Hashable
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import (
    Click,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    ObjectLibrary,
    ObjectPrompt,
    Sam2ImageProcessor,
    Sam2Processor,
    SessionOptions,
    VideoPrompt,
    VideoSegmentationPipeline,
    compare_runs,
)
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.bad_input.judging import Input, each, equals, faults_of
from tests.bad_input.odd_values import (
    HUGE,
    INF,
    NAN,
    NO_BOXES,
    NO_COORDINATES,
    NO_FLAGS,
    NO_FRAMES,
    NO_IDS,
    NOTHING,
    no_masks,
)
from tests.video.transformers_usage import SIZE, clip

FRAMES = clip(3)
PHOTO = FRAMES[0]
MODEL_SIDE = 64


def each_place(what, call, leave=()):
    """An input for each value that is no coordinate, in each place of one."""
    for name, value in NO_COORDINATES.items():
        places = {"x": (value, 20), "y": (30, value), "one of several": [(30, 20), (value, 20)]}
        if name != "two numbers":  # which are a click
            places["alone"] = value
        named = {f"{name} as {place}": xy for place, xy in places.items()}
        yield from each(what, named, call, leave)


class World:
    """What inputs are given to.

    Args:
        image_model: A small model for photos.
        video_model: One for videos.
        video_processor: Its processor.
    """

    def __init__(self, image_model, video_model, video_processor):
        self.video_model, self.video_processor = video_model, video_processor
        self.pipeline = ImageSegmentationPipeline(image_model)
        self.everything = MaskGenerationPipeline(image_model, points_per_side=2)
        self.videos = VideoSegmentationPipeline(video_model)
        side = {"height": MODEL_SIDE, "width": MODEL_SIDE}
        self.image_processor = Sam2ImageProcessor(size=side)
        self.processor = Sam2Processor(self.image_processor)
        self.encoded = self.pipeline.encode(PHOTO)

    def session(self):
        return Sam2VideoInferenceSession.open(FRAMES, self.video_model)

    def told(self, verb, *arguments, **more):
        """Give a session one prompt, and return what it sees on frame 0."""
        with self.session() as session:
            getattr(session, verb)(*arguments, **more)
            return session.preview(0).logits_bhw

    def clicked(self, *arguments, **more):
        return self.told("click", *arguments, **more)

    def asked(self, **parts):
        """Ask the pipeline about the photo."""
        return self.pipeline(self.encoded, **parts).low_res_logits

    def given(self, frame_idx=0, obj_ids=1, **inputs):
        """Give prompts by transformers' names; return what is seen on frame 0."""
        session = self.video_processor.init_video_session(FRAMES)
        self.video_processor.add_inputs_to_inference_session(session, frame_idx, obj_ids, **inputs)
        return session.preview(0).logits_bhw

    def prepared(self, **inputs):
        """Prepare prompts for the model."""
        tensors = self.processor(PHOTO, return_tensors="pt", **inputs)
        return {name: tensor for name, tensor in tensors.items() if name.startswith("input")}


@pytest.fixture(scope="module")
def world(tiny_model, tiny_video_model, video_processor):
    return World(tiny_model, tiny_video_model, video_processor)


def session_clicks(world):
    yield from each_place("click at", lambda xy: world.clicked(0, 1, xy))
    yield from each("positive", NO_FLAGS, lambda v: world.clicked(0, 1, (30, 20), positive=v))
    yield from each("object_id", NO_IDS, lambda value: world.clicked(0, value, (30, 20)))
    yield from each("frame", NO_FRAMES, lambda value: world.clicked(value, 1, (30, 20)))
    right = equals(partial(world.clicked, 0, 1, (30.0, 20.0)))
    for name, more in {
        "an array": {"xy": np.array([30, 20], np.int8)},
        "texts of numbers": {"xy": ("30", "20")},
        "a tensor": {"xy": torch.tensor([[30, 20]])},
        "1 for True": {"positive": 1},
        "1.0 for True": {"positive": np.float64(1)},
        "an array of True": {"positive": np.array([True])},
        "id -7": {"object_id": -7},
        "id of numpy": {"object_id": np.int64(3)},
        "frame of numpy": {"frame": np.int8(0)},
    }.items():
        plain = {"frame": 0, "object_id": 1, "xy": (30, 20)} | more
        yield Input(f"click with {name}", partial(world.clicked, **plain), right)


def session_boxes_and_masks(world):
    yield from each("box", NO_BOXES, lambda box: world.told("box", 0, 1, box))
    yield from each("mask", no_masks(SIZE), lambda mask: world.told("mask", 0, 1, mask))
    right = equals(partial(world.told, "mask", 0, 1, np.ones(SIZE, bool)))
    for name, mask in {
        "of 255": np.full(SIZE, 255, np.uint8),
        "of ones": np.ones((1, 1, *SIZE)),
        "as a picture": Image.new("1", SIZE[::-1], 1),
    }.items():
        yield Input(f"mask {name}", partial(world.told, "mask", 0, 1, mask), right)


def session_verbs(world):
    def tried(work):
        with world.session() as session:
            session.click(0, 1, (30, 20))
            return work(session)

    odd = {name: value for name, value in NO_FRAMES.items() if name != "None"}
    for verb, work in {
        "preview": lambda session, value: session.preview(value),
        "propagate(start)": lambda session, value: list(session.propagate(start=value)),
        "remove": lambda session, value: session.remove(value),
        "clear of object": lambda session, value: session.clear(0, value),
        "clear of frame": lambda session, value: session.clear(value, 1),
        "masklet": lambda session, value: session.masklet(value),
        "explain of frame": lambda session, value: session.explain(value, 1),
        "explain of object": lambda session, value: session.explain(1, value),
    }.items():
        values = odd | {"an unknown one": 77}
        yield from each(verb, values, lambda v, work=work: tried(lambda s: work(s, v)))
    for verb, work in {
        "propagate(objects)": lambda session, value: list(session.propagate(objects=value)),
        "preview(objects)": lambda session, value: session.preview(0, objects=value),
    }.items():
        values = {name: [value] for name, value in NO_IDS.items()} | {"a number": 1, "77": [77]}
        yield from each(verb, values, lambda v, work=work: tried(lambda s: work(s, v)))
    enough = ("one too many", "10^9", "10^30", "10^400")  # all there are
    limited = lambda value: tried(lambda s: list(s.propagate(limit=value)))  # noqa: E731
    yield from each("propagate(limit)", odd, limited, leave=enough)
    yield from each(
        "propagate(direction)",
        ("up", None, True, 3, NOTHING, [], "FORWARD", b"forward", ["forward"]),
        lambda value: tried(lambda s: list(s.propagate(direction=value))),
    )
    yield from each("step", ODD_PICTURES, partial(_step, world))


def session_references(world):
    def tried(picture=PHOTO, masks=WHOLE, object_id=1):
        with world.session() as session:
            session.reference(picture, masks, object_id)

    def learned(object_id=1, frames=None):
        with world.session() as session:
            session.click(0, 1, (30, 20))
            session.learned(object_id, frames)

    def recalled(known):
        with world.session() as session:
            session.recall(known, 1)

    masks = no_masks(SIZE) | {"empty": ~WHOLE, "a list of masks": [WHOLE, WHOLE]}
    keys = {name: value for name, value in NO_FRAMES.items() if isinstance(value, Hashable)}
    frames = {name: {value: WHOLE} for name, value in keys.items()}
    yield from each("reference of picture", ODD_PICTURES, lambda value: tried(picture=value))
    yield from each("reference with mask", masks, lambda value: tried(masks=value))
    yield from each("reference of object", NO_IDS, lambda value: tried(object_id=value))
    yield from each("reference of frame", frames, lambda value: tried(FRAMES, masks=value))
    yield from each("learned object", NO_IDS, learned)
    lists = {name: [value] for name, value in NO_FRAMES.items()} | {"a number": 0, "text": "0"}
    yield from each("learned frames", lists, lambda value: learned(frames=value))
    yield from each("recall", (None, 7, "cup", NOTHING, ["cup"]), recalled)
    yield from each("library", (None, 7, NOTHING, "a\0b", "/dev/zero", "/"), ObjectLibrary.load)
    yield from each("run", (None, 7, NOTHING, "a\0b", "/dev/zero", {1: 2}), compared)


def compared(run):
    """Compare something with a run of no objects."""
    return compare_runs({}, run)


WHOLE = np.ones(SIZE, bool)
ODD_PICTURES = {
    "None": None,
    "text": "no such file.png",
    "NaN": np.full((*SIZE, 3), NAN, np.float32),
    "inf": np.full((*SIZE, 3), INF, np.float32),
    "no pixel": np.zeros((0, 5, 3), np.uint8),
    "two colors": np.zeros((*SIZE, 2), np.uint8),
    "five axes": np.zeros((1, 1, 1, 4, 3), np.uint8),
    "objects": np.full((4, 5, 3), NOTHING, object),
    "complex": np.zeros((4, 5, 3), complex),
    "words": np.full((4, 5, 3), "a"),
    "a number": 7,
    "a list of words": ["a", "b"],
    "an object": NOTHING,
    "dates": np.full((4, 5, 3), "2020-01-01", "datetime64[D]"),
    "zero bytes": b"",
    "text with a zero": "a\0b",
    "a long name": "x" * 5000,
    "a folder": "/",
    "a device": "/dev/zero",
}
NO_PROMPTS = (None, 7, "abc", [7], [None], {"frame": 0}, NOTHING, [[VideoPrompt(0, 1, (3, 2))]])


def _step(world, picture):
    with Sam2VideoInferenceSession.open(None, world.video_model) as session:
        session.step(PHOTO)
        return session.step(picture)


def videos(world):
    track = partial(world.videos, FRAMES)
    prompt = VideoPrompt(0, 1, (3, 2))
    are_videos = ("None", "a device", "two colors", "five axes")
    yield from each("a video of", ODD_PICTURES, lambda v: world.videos(v, prompt), are_videos)
    no_click = ("an empty list as alone",)
    yield from each_place("VideoPrompt at", lambda xy: track(VideoPrompt(0, 1, xy)), no_click)
    yield from each("VideoPrompt box", NO_BOXES, lambda box: track(VideoPrompt(0, 1, box=box)))
    masks = no_masks(SIZE)
    yield from each("VideoPrompt mask", masks, lambda mask: track(VideoPrompt(0, 1, mask=mask)))
    yield from each("VideoPrompt id", NO_IDS, lambda v: track(VideoPrompt(0, v, (30, 20))))
    yield from each("VideoPrompt frame", NO_FRAMES, lambda v: track(VideoPrompt(v, 1, (3, 2))))
    yield from each("prompts", NO_PROMPTS, lambda value: list(track(value)))
    yield from each("direction", ("up", None, 3, []), lambda value: track(prompt, value))


def photo_prompts(world):
    ask, about = world.asked, partial(world.pipeline, world.encoded)
    yield from each_place("points", lambda xy: ask(points=xy))
    all_positive = ("None",)
    labels = lambda value: ask(points=[(30, 20)], labels=value)  # noqa: E731
    yield from each("labels", NO_FLAGS, labels, all_positive)
    clicked = lambda value: about(ObjectPrompt(clicks=[Click((3, 2), positive=value)]))  # noqa: E731
    yield from each("Click(positive)", NO_FLAGS, clicked)
    yield from each("photo box", NO_BOXES, lambda box: ask(box=box))
    no_rows = ("no number", "two in one")
    yield from each("photo boxes", NO_BOXES, lambda box: about(boxes=[box]), no_rows)
    yield from each("photo mask", no_masks(SIZE), lambda mask: ask(mask=mask))
    objects = (7, "abc", [7], [None], {"a": 7}, NOTHING, {"clicks": [(1, 2)]}, 1.5, True)
    yield from each("objects", objects, about)
    yield from each("a photo of", ODD_PICTURES, lambda v: world.pipeline(v, points=(3, 2)))
    yield from each("everything of", ODD_PICTURES, world.everything)
    right = equals(partial(ask, points=[(30.0, 20.0)], labels=[1]))
    for name, parts in {
        "texts": {"points": ("30", "20")},
        "a tensor": {"points": torch.tensor([[30, 20]]), "labels": torch.tensor([1])},
        "True": {"points": (30, 20), "labels": True},
        "1.0": {"points": (30, 20), "labels": [1.0]},
    }.items():
        yield Input(f"points as {name}", partial(ask, **parts), right)


ARE_LOGITS = ("negative numbers", "floats beyond 1")
ODD_OPTIONS = {
    "None": None,
    "a word": "a",
    "NaN": NAN,
    "inf": INF,
    "-1": -1,
    "1.5": 1.5,
    "10^400": HUGE,
    "a list": [],
    "an object": NOTHING,
    "True": True,
    "bytes": b"1",
    "an array": np.array([1, 2]),
}
# Options of pipelines, and which of these values they may have.
EVERYTHING = {
    "points_per_side": (),
    "pred_iou_thresh": ("-1", "1.5"),
    "crop_n_layers": (),
    "point_grids": ("None",),
    "output_mode": (),
    "use_m2m": ("True",),
    "min_mask_region_area": ("-1", "1.5"),
    "stability_score_offset": ("-1", "1.5"),
    "crop_n_points_downscale_factor": (),
    "crop_overlap_ratio": (),
}
SEGMENTATION = {
    "mask_threshold": ("-1", "1.5"),
    "max_hole_area": ("-1", "1.5"),
    "compile": ("True",),
    "batch_size": ("None",),
    "value_range": ("None", "an array"),
}


def photo_options(world):
    for option, leave in EVERYTHING.items():
        call = lambda value, option=option: world.everything(PHOTO, **{option: value})  # noqa: E731
        yield from each(f"everything({option})", ODD_OPTIONS, call, leave)
    for many in (
        {"points_per_side": 10**9},
        {"crop_n_layers": 10**9},
        {"crop_n_layers": 40, "point_grids": [[[0.5, 0.5]]] * 41},
    ):
        yield Input(f"everything({list(many)})", partial(world.everything, PHOTO, **many))
    for option, leave in SEGMENTATION.items():
        call = partial(_with_option, world.pipeline.model, option)
        yield from each(f"ImageSegmentationPipeline({option})", ODD_OPTIONS, call, leave)


def _with_option(model, option, value):
    return ImageSegmentationPipeline(model, **{option: value})(PHOTO, points=(30, 20))


def session_options(_world):
    odd = ODD_OPTIONS | {"-5": -5}
    for option in SessionOptions.__dataclass_fields__:
        call = lambda value, option=option: SessionOptions(**{option: value})  # noqa: E731
        leave = ("None", "True", "-1", "10^400", "an array")
        leave += ("a word",) if option == "spill_folder" else ()
        yield from each(option, odd, call, leave)


def transformers_session(world):
    give, point = world.given, [[[[30, 20]]]]
    yield from each_place("input_points", lambda xy: give(input_points=[[[xy]]]))
    labels = lambda value: give(input_points=point, input_labels=[[[value]]])  # noqa: E731
    yield from each("input_labels", NO_FLAGS, labels, LABELS)
    yield from each("input_boxes", NO_BOXES, lambda box: give(input_boxes=[[box]]))
    any_size = ("another size", "turned")
    yield from each("input_masks", no_masks(SIZE), lambda v: give(input_masks=v), any_size)
    yield from each("obj_ids", NO_IDS, lambda value: give(0, value, input_points=point))
    yield from each("frame_idx", NO_FRAMES, lambda value: give(value, 1, input_points=point))
    sizes = (7, "ab", (1,), (-4, 5), (NAN, 3), (HUGE, 2), NOTHING, (1, 2, 3), [[1, 2], [3]])
    sized = lambda value: give(input_points=point, original_size=value)  # noqa: E731
    yield from each("original_size", sizes, sized)


LABELS = ("None", "-1", "2")  # no labels at all; no point; a corner of a box
OF_A_CALL = {
    "image_std": (0, [0, 0, 0], [1, 1], NAN, "a", [NAN] * 3, -1, [INF] * 3, HUGE),
    "image_mean": ("a", NAN, [1, 1], [INF] * 3, HUGE, NOTHING),
    "rescale_factor": ("a", NAN, 0, -1, INF, HUGE, NOTHING),
    "size": (0, -1, "a", NAN, {"height": 5}, {"height": -1, "width": 2}, [0, 0], HUGE, 1e9),
    "resample": ("a", 99, -1, NAN, NOTHING),
    "do_normalize": ("no", 2, NOTHING),
    "do_resize": ("no", NOTHING),
    "compat": ("a", 7, NOTHING),
    "value_range": ("a", (1, 0), (NAN, 1), (0, INF), (0, HUGE), 7, NOTHING, ("a", "b")),
}


def processors(world):
    prepare, low = world.prepared, [torch.zeros(1, 3, 16, 16)]
    yield from each_place("Sam2Processor points", lambda xy: prepare(input_points=[[[xy]]]))
    labels = lambda v: prepare(input_points=[[[[30, 20]]]], input_labels=[[[v]]])  # noqa: E731
    yield from each("Sam2Processor labels", NO_FLAGS, labels, LABELS)
    yield from each("Sam2Processor boxes", NO_BOXES, lambda box: prepare(input_boxes=[[box]]))
    leave = (*ARE_LOGITS, "no pixel")  # no object
    masks = no_masks((16, 16))
    yield from each("Sam2Processor masks", masks, lambda v: prepare(input_masks=v), leave)
    yield from each("Sam2Processor of", ODD_PICTURES, world.processor)
    sizes = (7, "ab", [(1,)], [(-4, 5)], [(NAN, 3)], [(HUGE, 2)], NOTHING, [(1.5, 2)])
    sized = partial(world.processor, input_points=[[[[3, 2]]]], return_tensors="pt")
    yield from each("Sam2Processor sizes", sizes, lambda v: sized(original_sizes=v))
    finish = world.processor.post_process_masks
    yield from each("post_process_masks sizes", sizes, lambda value: finish(low, value))
    numbers = ("a", None, [], NAN, HUGE)
    threshold = lambda value: finish(low, [SIZE], mask_threshold=value)  # noqa: E731
    yield from each("mask_threshold", numbers, threshold)
    maps = (7, "ab", None, [7], NOTHING, [torch.zeros(3)], [[[["a"]]]], [torch.zeros(0, 0)])
    yield from each("post_process_masks of", maps, lambda value: finish(value, [SIZE]))
    for option, values in OF_A_CALL.items():
        call = partial(_prepared_with, world.image_processor, option)
        yield from each(f"Sam2ImageProcessor({option})", values, call)


def _prepared_with(processor, option, value):
    return processor(PHOTO, return_tensors="pt", **{option: value})


BORDERS = {
    border.__name__: border
    for border in (
        session_clicks,
        session_boxes_and_masks,
        session_verbs,
        session_references,
        videos,
        photo_prompts,
        photo_options,
        session_options,
        transformers_session,
        processors,
    )
}


@pytest.mark.parametrize("border", BORDERS.values(), ids=BORDERS)
def test_what_is_no_prompt_is_refused_or_read_rightly(world, border):
    count, faults = faults_of(border(world))

    assert count >= 40
    assert not faults, f"{len(faults)} of {count} inputs:\n" + "\n".join(faults)
