"""Names that cannot be looked for, and detectors and scorers whose answers cannot be used."""

from types import SimpleNamespace

import numpy as np
import pytest

from sam2_hf import (
    Detection,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    VideoSegmentationPipeline,
    ZeroShotDetector,
    ZeroShotScorer,
)
from sam2_hf.open_vocabulary.mask_matching import MatchingRules
from tests.bad_input.judging import each, faults_of
from tests.bad_input.odd_values import HUGE, INF, NAN, NO_BOXES, NOTHING
from tests.stand_in_detector import KnownBoxes, KnownBrightness
from tests.video.transformers_usage import clip

FRAMES = clip(3)
NO_NAMES = {
    "a number": 7,
    "10^400": HUGE,
    "True": True,
    "no text": "",
    "spaces": " \n",
    "an empty list": [],
    "a number among them": ["dog", 3],
    "None among them": ["dog", None],
    "bytes": b"dog",
    "bytes among them": [b"dog"],
    "a dictionary": {"dog": 1},
    "a list in a list": [["dog"]],
    "the same twice": ["dog", " dog"],
    "an object": NOTHING,
    "an array of numbers": np.ones(2),
}
NO_COUNTS = (0, -1, 1.5, NAN, "2", True, [], NOTHING, INF)
NO_SHARES = (-0.1, 1.1, NAN, INF, HUGE, "half", None, [], NOTHING, True)
NO_MODELS = (7, True, [], {}, NOTHING, 1.5, np.ones(2))


def looking_for(answers):
    """A detector that gives these answers, whatever is asked."""
    return SimpleNamespace(detect=lambda image, labels: answers)


def names(world):
    look = lambda value: world.segment(FRAMES[0], text=value)  # noqa: E731
    follow = lambda value: world.track(FRAMES, text=value)  # noqa: E731
    label = lambda value: world.generate(FRAMES[0], labels=value)  # noqa: E731
    yield from each("text", NO_NAMES, look)
    yield from each("text of a video", NO_NAMES, follow)
    yield from each("labels", NO_NAMES, label)
    every = lambda value: world.track(FRAMES, text="dog", detect_every=value)  # noqa: E731
    yield from each("detect_every", NO_COUNTS, every)


def models(world):
    for kind, option in (
        (ImageSegmentationPipeline, "detector"),
        (MaskGenerationPipeline, "scorer"),
    ):
        give = lambda value, k=kind, o=option: k(world.model, **{o: value})  # noqa: E731
        yield from each(option, NO_MODELS, give)
    options = lambda **more: ZeroShotDetector(world.model, None, **more)  # noqa: E731
    yield from each("nms_threshold", NO_SHARES, lambda value: options(nms_threshold=value))
    yield from each("threshold", NO_SHARES, lambda v: options(threshold=v), leave=("None",))
    counts = (0, -1, 1.5, "2", None, NAN, True, NOTHING)
    yield from each("max_detections", counts, lambda value: options(max_detections=value))
    score = lambda value: ZeroShotScorer(world.model, None, threshold=value)  # noqa: E731
    yield from each("threshold of a scorer", NO_SHARES, score)
    templates = ("", "a photo", None, 7, b"{}", NOTHING, "{", "{!z}")
    scorer = lambda value: ZeroShotScorer(world.model, None, template=value)  # noqa: E731
    yield from each("template", templates, scorer)
    yield from each("iou", NO_SHARES, lambda value: MatchingRules(iou=value))


def answers(world):
    def find(*found):
        detector = looking_for(found)
        return ImageSegmentationPipeline(world.model, detector=detector)(FRAMES[0], text="dog")

    yield from each("a box", NO_BOXES, lambda box: find(Detection(box, "dog", 0.5)))
    scores = ("high", NAN, INF, None, 1j, [], NOTHING, HUGE)
    box = (1, 1, 20, 20)
    yield from each("a score", scores, lambda value: find(Detection(box, "dog", value)))
    labels = ("cat", "", None, 3, b"dog", ["dog"], NOTHING)
    yield from each("a label", labels, lambda value: find(Detection(box, value, 0.5)))
    yield from each("an answer", (None, 7, {}, box, NOTHING), find)
    wholes = {"None": None, "a number": 7, "an error": (1 / 0 for _ in "a"), "text": "dog"}
    for name, whole in wholes.items():
        detector = looking_for(whole)
        segment = ImageSegmentationPipeline(world.model, detector=detector)
        yield from each(
            "what comes back:", {name: "dog"}, lambda v, s=segment: s(FRAMES[0], text=v)
        )
    shapes = {"None": None, "words": "ab", "one too few": np.ones((0, 1)), "NaN": [[NAN]] * 9}
    for name, scores in shapes.items():
        scorer = SimpleNamespace(score=lambda crops, labels, scores=scores: scores)
        generate = world.generating(scorer)
        call = lambda v, g=generate: g(FRAMES[0], labels=v)  # noqa: E731
        yield from each("scores:", {name: ["dog"]}, call)


class World:
    """What inputs are given to.

    Args:
        image_model: A small model for photos.
        video_model: One for videos.
    """

    def __init__(self, image_model, video_model):
        self.model = image_model
        self.segment = ImageSegmentationPipeline(image_model, detector=KnownBoxes({}))
        self.track = VideoSegmentationPipeline(video_model, detector=KnownBoxes({}))
        self.generate = self.generating(KnownBrightness())

    def generating(self, scorer):
        every = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
        return MaskGenerationPipeline(self.model, points_per_side=1, scorer=scorer, **every)


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("group", [names, models, answers], ids=lambda group: group.__name__)
def test_what_cannot_be_used_is_refused_in_words(group, tiny_model, tiny_video_model):
    count, faults = faults_of(group(World(tiny_model, tiny_video_model)))

    assert count > 40
    assert not faults, "\n".join(faults)
