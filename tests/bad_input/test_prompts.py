"""Prompts and options that are none: every border of the API refuses them, or answers rightly."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import (
    Click,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    ObjectPrompt,
    Sam2ImageProcessor,
    Sam2Processor,
    SessionOptions,
    VideoPrompt,
    VideoSegmentationPipeline,
)
from sam2_hf.video.session import Sam2VideoInferenceSession
from tests.bad_input.judging import Input, equals, faults_of
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


def places_of(name, value):
    """Ways to give a value where a coordinate belongs."""
    places = {"x": (value, 20), "y": (30, value), "one of several": [(30, 20), (value, 20)]}
    return places if name == "two numbers" else places | {"alone": value}  # which are a click


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
    for name, value in NO_COORDINATES.items():
        for place, xy in places_of(name, value).items():
            yield Input(f"click at {name} as {place}", partial(world.clicked, 0, 1, xy))
    for name, value in NO_FLAGS.items():
        if name != "none":
            call = partial(world.clicked, 0, 1, (30, 20), positive=value)
            yield Input(f"positive={name}", call)
    for name, value in NO_IDS.items():
        yield Input(f"object_id {name}", partial(world.clicked, 0, value, (30, 20)))
    for name, value in NO_FRAMES.items():
        yield Input(f"frame {name}", partial(world.clicked, value, 1, (30, 20)))
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
    for name, box in NO_BOXES.items():
        yield Input(f"box {name}", partial(world.told, "box", 0, 1, box))
    for name, mask in no_masks(SIZE).items():
        yield Input(f"mask {name}", partial(world.told, "mask", 0, 1, mask))
    right = equals(partial(world.told, "mask", 0, 1, np.ones(SIZE, bool)))
    for name, mask in {
        "of 255": np.full(SIZE, 255, np.uint8),
        "of ones": np.ones((1, 1, *SIZE)),
        "as a picture": Image.new("1", SIZE[::-1], 1),
        "of infinite logits": np.full(SIZE, INF) * np.where(np.eye(*SIZE) > 2, -1, 1),
    }.items():
        if "infinite" not in name:
            yield Input(f"mask {name}", partial(world.told, "mask", 0, 1, mask), right)


def session_verbs(world):
    def tried(work):
        with world.session() as session:
            session.click(0, 1, (30, 20))
            return work(session)

    odd = {name: value for name, value in NO_FRAMES.items() if name != "None"}
    verbs = {
        "preview": lambda value: lambda s: s.preview(value),
        "propagate(start)": lambda value: lambda s: list(s.propagate(start=value)),
        "remove": lambda value: lambda s: s.remove(value),
        "clear": lambda value: lambda s: s.clear(0, value),
        "masklet": lambda value: lambda s: s.masklet(value),
    }
    for verb, make in verbs.items():
        for name, value in (odd | {"an unknown one": 77}).items():
            yield Input(f"{verb} of {name}", partial(tried, make(value)))
    for name, value in odd.items():
        if name not in ("one too many", "10^9", "10^30", "10^400"):  # as many as there are
            call = partial(tried, lambda s, value=value: list(s.propagate(limit=value)))
            yield Input(f"propagate(limit) of {name}", call)
        call = partial(tried, lambda s, value=value: s.clear(value, 1))
        yield Input(f"clear of frame {name}", call)
    for value in ("up", None, True, 3, NOTHING, [], "FORWARD", b"forward", ["forward"]):
        call = partial(tried, lambda s, value=value: list(s.propagate(direction=value)))
        yield Input(f"propagate(direction={value!r})", call)
    for name, picture in ODD_PICTURES.items():
        yield Input(f"step of {name}", partial(_step, world, picture))


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


def _step(world, picture):
    with Sam2VideoInferenceSession.open(None, world.video_model) as session:
        session.step(PHOTO)
        return session.step(picture)


def videos(world):
    for name, picture in ODD_PICTURES.items():
        if name not in ("None", "a device", "two colors", "five axes"):  # are videos
            yield Input(
                f"a video of {name}", partial(world.videos, picture, VideoPrompt(0, 1, (3, 2)))
            )
    track = partial(world.videos, FRAMES)
    for name, value in NO_COORDINATES.items():
        for place, xy in places_of(name, value).items():
            if (name, place) == ("an empty list", "alone"):
                continue  # no clicks

            def call(xy=xy):
                return track(VideoPrompt(0, 1, clicks=xy))

            yield Input(f"VideoPrompt at {name} as {place}", call)
    for name, box in NO_BOXES.items():
        yield Input(f"VideoPrompt box {name}", lambda box=box: track(VideoPrompt(0, 1, box=box)))
    for name, mask in no_masks(SIZE).items():
        yield Input(f"VideoPrompt mask {name}", lambda m=mask: track(VideoPrompt(0, 1, mask=m)))
    for name, value in NO_IDS.items():
        yield Input(f"VideoPrompt id {name}", lambda v=value: track(VideoPrompt(0, v, (30, 20))))
    for name, value in NO_FRAMES.items():
        yield Input(f"VideoPrompt frame {name}", lambda v=value: track(VideoPrompt(v, 1, (3, 2))))
    for value in (
        None,
        7,
        "abc",
        [7],
        [None],
        {"frame": 0},
        NOTHING,
        [[VideoPrompt(0, 1, (3, 2))]],
    ):
        yield Input(f"prompts={value!r:.40}", lambda v=value: list(track(v)))
    for value in ("up", None, 3, []):
        call = partial(track, VideoPrompt(0, 1, (3, 2)), value)
        yield Input(f"direction={value!r}", call)


def photo_prompts(world):
    for name, value in NO_COORDINATES.items():
        for place, xy in places_of(name, value).items():
            yield Input(f"points {name} as {place}", partial(world.asked, points=xy))
    for name, value in NO_FLAGS.items():
        if name == "None":
            continue  # all positive
        yield Input(f"labels {name}", partial(world.asked, points=[(30, 20)], labels=value))
        click = partial(Click, (30, 20), positive=value)
        yield Input(
            f"Click(positive={name})",
            lambda click=click: world.pipeline(world.encoded, ObjectPrompt(clicks=[click()])),
        )
    for name, box in NO_BOXES.items():
        yield Input(f"photo box {name}", partial(world.asked, box=box))
        if name not in ("no number", "two in one"):
            yield Input(f"photo boxes {name}", partial(world.pipeline, world.encoded, boxes=[box]))
    for name, mask in no_masks((16, 16)).items():
        if name not in ("negative numbers", "floats beyond 1"):  # are logits
            yield Input(f"photo mask {name}", partial(world.asked, mask=mask))
    for value in (7, "abc", [7], [None], {"a": 7}, NOTHING, {"clicks": [(1, 2)]}, 1.5, True):
        yield Input(f"objects={value!r:.40}", partial(world.pipeline, world.encoded, value))
    for name, picture in ODD_PICTURES.items():
        yield Input(f"a photo of {name}", partial(world.pipeline, picture, points=(3, 2)))
        yield Input(f"everything of {name}", partial(world.everything, picture))
    right = equals(partial(world.asked, points=[(30.0, 20.0)], labels=[1]))
    for name, parts in {
        "texts": {"points": ("30", "20")},
        "a tensor": {"points": torch.tensor([[30, 20]]), "labels": torch.tensor([1])},
        "True": {"points": (30, 20), "labels": True},
        "1.0": {"points": (30, 20), "labels": [1.0]},
    }.items():
        yield Input(f"points as {name}", partial(world.asked, **parts), right)


def photo_options(world):
    odd = (None, "a", NAN, INF, -1, 1.5, HUGE, [], NOTHING, True, b"1", np.array([1, 2]))
    for name, value in {"points_per_side": 10**9, "crop_n_layers": 10**9, "points": 0}.items():
        yield Input(f"{name}={value}", partial(world.everything, PHOTO, **{name: value}))
    call = partial(world.everything, PHOTO, crop_n_layers=40, point_grids=[[[0.5, 0.5]]] * 41)
    yield Input("own grids of 41 layers", call)
    for name in ("points_per_side", "pred_iou_thresh", "crop_n_layers", "point_grids",
                 "output_mode", "use_m2m", "min_mask_region_area", "stability_score_offset",
                 "crop_n_points_downscale_factor", "crop_overlap_ratio"):  # fmt: skip
        for value in odd:
            if _is_option(name, value):
                continue
            call = partial(world.everything, PHOTO, **{name: value})
            yield Input(f"everything({name}={value!r:.30})", call)
    model = world.pipeline.model
    for name in ("mask_threshold", "max_hole_area", "compile", "batch_size", "value_range"):
        for value in odd:
            if _is_option(name, value):
                continue

            def call(name=name, value=value):
                return ImageSegmentationPipeline(model, **{name: value})(PHOTO, points=(30, 20))

            yield Input(f"ImageSegmentationPipeline({name}={value!r:.30})", call)


def _is_option(name, value):
    """Whether a value is one that an option may have."""
    if isinstance(value, np.ndarray | list):
        return name == "value_range" and len(value) == 2
    fine = {
        "pred_iou_thresh": (-1, 1.5),
        "point_grids": (None,),
        "use_m2m": (True,),
        "min_mask_region_area": (-1, 1.5),
        "stability_score_offset": (-1, 1.5),
        "mask_threshold": (-1, 1.5),
        "max_hole_area": (-1, 1.5),
        "compile": (True,),
        "batch_size": (None,),
        "value_range": (None,),
    }
    return any(value is one or value == one for one in fine.get(name, ()))


def session_options(_world):
    odd = ("a", NAN, -5, 1.5, [], NOTHING, b"1")
    for name in SessionOptions.__dataclass_fields__:
        for value in odd:
            if name == "spill_folder" and isinstance(value, str):
                continue
            yield Input(f"{name}={value!r:.30}", partial(SessionOptions, **{name: value}))


def transformers_session(world):
    for name, value in NO_COORDINATES.items():
        for place, xy in places_of(name, value).items():
            call = partial(world.given, input_points=[[[xy]]])
            yield Input(f"input_points {name} as {place}", call)
    for name, value in NO_FLAGS.items():
        if name in ("None", "-1", "2"):
            continue  # no labels at all; no point; a corner of a box
        call = partial(world.given, input_points=[[[[30, 20]]]], input_labels=[[[value]]])
        yield Input(f"input_labels {name}", call)
    for name, box in NO_BOXES.items():
        if not isinstance(box, set):
            yield Input(f"input_boxes {name}", partial(world.given, input_boxes=[[box]]))
    for name, mask in no_masks(SIZE).items():
        if name not in ("another size", "turned"):  # any size is taken
            yield Input(f"input_masks {name}", partial(world.given, input_masks=mask))
    for name, value in NO_IDS.items():
        call = partial(world.given, 0, value, input_points=[[[[30, 20]]]])
        yield Input(f"obj_ids {name}", call)
    for name, value in NO_FRAMES.items():
        call = partial(world.given, value, 1, input_points=[[[[30, 20]]]])
        yield Input(f"frame_idx {name}", call)
    for value in (7, "ab", (1,), (-4, 5), (NAN, 3), (HUGE, 2), NOTHING, (1, 2, 3), [[1, 2], [3]]):
        call = partial(world.given, input_points=[[[[30, 20]]]], original_size=value)
        yield Input(f"original_size {value!r:.30}", call)


def processors(world):
    for name, value in NO_COORDINATES.items():
        for place, xy in places_of(name, value).items():
            call = partial(world.prepared, input_points=[[[xy]]])
            yield Input(f"Sam2Processor points {name} as {place}", call)
    for name, value in NO_FLAGS.items():
        if name in ("2", "-1", "None"):
            continue
        call = partial(world.prepared, input_points=[[[[30, 20]]]], input_labels=[[[value]]])
        yield Input(f"Sam2Processor labels {name}", call)
    for name, box in NO_BOXES.items():
        yield Input(f"Sam2Processor boxes {name}", partial(world.prepared, input_boxes=[[box]]))
    for name, mask in no_masks((16, 16)).items():
        if name not in ("negative numbers", "floats beyond 1", "no pixel"):  # logits; no object
            yield Input(f"Sam2Processor masks {name}", partial(world.prepared, input_masks=mask))
    for name, picture in ODD_PICTURES.items():
        yield Input(f"Sam2Processor of {name}", partial(world.processor, picture))
    for value in (7, "ab", [(1,)], [(-4, 5)], [(NAN, 3)], [(HUGE, 2)], NOTHING, [(1.5, 2)]):
        call = partial(
            world.processor, original_sizes=value, input_points=[[[[3, 2]]]], return_tensors="pt"
        )
        yield Input(f"Sam2Processor original_sizes {value!r:.30}", call)
        masks = [torch.zeros(1, 3, 16, 16)]
        call = partial(world.processor.post_process_masks, masks, value)
        yield Input(f"post_process_masks original_sizes {value!r:.30}", call)
    for name, value in {"NaN": NAN, "word": "a", "None": None, "list": [], "10^400": HUGE}.items():
        masks = [torch.zeros(1, 3, 16, 16)]
        call = partial(world.processor.post_process_masks, masks, [SIZE], mask_threshold=value)
        yield Input(f"mask_threshold {name}", call)
    for value in (7, "ab", None, [7], NOTHING, [torch.zeros(3)], [[[["a"]]]], [torch.zeros(0, 0)]):
        call = partial(world.processor.post_process_masks, value, [SIZE])
        yield Input(f"post_process_masks of {value!r:.30}", call)
    for name, values in {
        "image_std": (0, [0, 0, 0], [1, 1], NAN, "a", [NAN] * 3, -1, [INF] * 3, HUGE),
        "image_mean": ("a", NAN, [1, 1], [INF] * 3, HUGE, NOTHING),
        "rescale_factor": ("a", NAN, 0, -1, INF, HUGE, NOTHING),
        "size": (0, -1, "a", NAN, {"height": 5}, {"height": -1, "width": 2}, [0, 0], HUGE, 1e9),
        "resample": ("a", 99, -1, NAN, NOTHING),
        "do_normalize": ("no", 2, NOTHING),
        "do_resize": ("no", NOTHING),
        "compat": ("a", 7, NOTHING),
        "value_range": ("a", (1, 0), (NAN, 1), (0, INF), (0, HUGE), 7, NOTHING, ("a", "b")),
    }.items():
        for value in values:
            call = partial(world.image_processor, PHOTO, return_tensors="pt", **{name: value})
            yield Input(f"Sam2ImageProcessor({name}={value!r:.30})", call)


BORDERS = {
    border.__name__: border
    for border in (
        session_clicks,
        session_boxes_and_masks,
        session_verbs,
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
