"""Every entry point is asked the same about clicks, boxes and masks, and answers alike."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import Click, ObjectPrompt, PromptError, Sam2VideoInferenceSession, VideoPrompt
from sam2_hf.pipelines.image_prompts import AskedObjects
from sam2_hf.processing.prompt_tensors import read_prompts
from sam2_hf.video.compat.transformers_prompts import frame_prompts, points_and_labels
from sam2_space.api_prompts import read_objects, read_video_prompts
from sam2_space.limits import Limits
from tests.video.transformers_usage import SIZE, clip

PAIRS = [(30.0, 20.0), (5.0, 6.0)]
SIDE = 64
NAN = float("nan")


class EntryPoints:
    """Ways to give prompts; each takes points and labels, and returns places and flags.

    Args:
        model: A small video model.
        processor: Its processor.
    """

    def __init__(self, model, processor):
        self.model, self.processor = model, processor

    def photo(self, points, **labels):
        asked = AskedObjects.read(None, {"points": points, **labels})
        asked.check(SIZE, SIDE)
        return of_clicks(asked.prompts[0].clicks)

    def space_photo(self, points, **labels):
        [prompt] = read_objects([{"points": points, **labels}], Limits())
        prompt.check(SIZE, SIDE, "the object")
        return of_clicks(prompt.clicks)

    def session(self, points, labels=True):
        with Sam2VideoInferenceSession.open(clip(1), self.model) as session:
            session.click(0, 1, points, positive=labels)
            return of_clicks(session.prompts_of(0, 1).clicks)

    def space_video(self, points, **labels):
        asked = {"frame": 0, "object_id": 1, "points": points, **labels}
        [prompt] = read_video_prompts([asked], Limits())
        return self.prompted(prompt)

    def prompted(self, prompt):
        with Sam2VideoInferenceSession.open(clip(1), self.model) as session:
            prompt.add_to(session)
            return of_clicks(session.prompts_of(0, 1).clicks)

    def nested(self, points, **labels):
        (asked,) = read_prompts(nested(points, **labels), 1, -10)
        asked.check(SIZE, SIDE, "the photo")
        return of_tensors(asked.points[0], asked.labels[0])

    def transformers(self, points, **labels):
        session = self.processor.init_video_session(clip(1))
        given = nested(points, **labels)
        self.processor.add_inputs_to_inference_session(session, 0, 1, **given)
        return of_clicks(session.prompts_of(0, 1).clicks)

    def transformers_inside(self, points, labels=(1, 1)):
        given = {"point_coords": points, "point_labels": labels}
        return of_clicks(frame_prompts(*points_and_labels(given), None, "object 1").clicks)


def nested(points, **labels):
    """One object of one photo, as processors take it."""
    given = {"input_points": [[points]]}
    if labels:
        is_one = not isinstance(labels["labels"], list | tuple | np.ndarray | torch.Tensor)
        given["input_labels"] = [[[labels["labels"]] if is_one else labels["labels"]]]
    return given


def of_clicks(clicks):
    return [(click.xy, click.positive) for click in clicks]


def of_tensors(points_n2, labels_n):
    return [
        (tuple(xy), bool(label))
        for xy, label in zip(points_n2.tolist(), labels_n.tolist(), strict=True)
    ]


ALL = (
    "photo",
    "space_photo",
    "session",
    "space_video",
    "nested",
    "transformers",
    "transformers_inside",
)
OF_PHOTOS_AND_SESSIONS = ("photo", "space_photo", "session", "space_video")


@pytest.fixture(scope="module")
def entry_points(tiny_video_model, video_processor):
    return EntryPoints(tiny_video_model, video_processor)


@pytest.mark.parametrize("entry", ALL)
@pytest.mark.parametrize(
    ("labels", "positive"),
    [
        ([1, 0], [True, False]),
        ((True, False), [True, False]),
        ([False, True], [False, True]),
        ([1.0, 0.0], [True, False]),
        (np.array([0, 1]), [False, True]),
        (np.array([True, False]), [True, False]),
        (torch.tensor([1, 0]), [True, False]),
        (torch.tensor([True, False]), [True, False]),
        ([np.int64(1), np.bool_(False)], [True, False]),
        ([1], [True, True]),
        ([0], [False, False]),
        ((False,), [False, False]),
        (np.zeros(1), [False, False]),
        (torch.ones(1), [True, True]),
    ],
    ids=str,
)
def test_labels_mean_the_same_everywhere(entry_points, entry, labels, positive):
    found = getattr(entry_points, entry)(PAIRS, labels=labels)

    assert found == list(zip(PAIRS, positive, strict=True))


@pytest.mark.parametrize("entry", OF_PHOTOS_AND_SESSIONS)
@pytest.mark.parametrize("label", [False, 0, 0.0, np.bool_(False), torch.tensor(0)], ids=repr)
def test_one_flag_by_itself_counts_for_all_points(entry_points, entry, label):
    found = getattr(entry_points, entry)(PAIRS, labels=label)

    assert found == [(xy, False) for xy in PAIRS]


@pytest.mark.parametrize("entry", ALL)
def test_points_without_labels_are_on_the_object(entry_points, entry):
    assert getattr(entry_points, entry)(PAIRS) == [(xy, True) for xy in PAIRS]


@pytest.mark.parametrize("entry", ALL)
@pytest.mark.parametrize("labels", [[1, 0, 1], [], np.ones(3), torch.zeros(5)], ids=str)
def test_another_number_of_labels_is_refused_in_the_same_words(entry_points, entry, labels):
    words = (
        rf"has 2 point\(s\) and \w+ has {len(labels)} label\(s\). Give one label per point, or one"
    )

    with pytest.raises(PromptError, match=words):
        getattr(entry_points, entry)(PAIRS, labels=labels)


@pytest.mark.parametrize("entry", OF_PHOTOS_AND_SESSIONS)
@pytest.mark.parametrize(
    "label",
    [2, -1, [2], [1, 2], [1, -1], 0.5, NAN, "yes", ["1"], b"1", [[1, 0]], [1, None]],
    ids=str,
)
def test_what_is_no_flag_is_refused_in_the_same_words(entry_points, entry, label):
    with pytest.raises(PromptError, match="Give True or 1 for a point on the object, False or 0"):
        getattr(entry_points, entry)(PAIRS, labels=label)


@pytest.mark.parametrize("entry", ALL)
@pytest.mark.parametrize("label", [7, -3, 0.5, NAN, [1, 4]], ids=str)
def test_what_no_entry_point_knows_is_refused_by_all(entry_points, entry, label):
    with pytest.raises(PromptError):
        getattr(entry_points, entry)(PAIRS, labels=label)


@pytest.mark.parametrize("entry", ["photo", "session", "nested", "transformers"])
@pytest.mark.parametrize(
    "points",
    [np.array(PAIRS), torch.tensor(PAIRS), [list(xy) for xy in PAIRS], tuple(PAIRS)],
    ids=["array", "tensor", "lists", "tuples"],
)
def test_points_come_in_any_form_everywhere(entry_points, entry, points):
    assert getattr(entry_points, entry)(points) == [(xy, True) for xy in PAIRS]


@pytest.mark.parametrize("entry", [*OF_PHOTOS_AND_SESSIONS, "nested", "transformers"])
@pytest.mark.parametrize(
    "points",
    [
        [(1, 2, 3)],
        [(1,)],
        [(NAN, 2)],
        [(float("inf"), 2)],
        [("a", 2)],
        [(1, None)],
        [(500, 5)],
        [(5, -9)],
        "here",
        7,
        [],
        [[(1, 2)]],
    ],
    ids=str,
)
def test_what_is_no_place_is_refused_everywhere(entry_points, entry, points):
    with pytest.raises(PromptError):
        getattr(entry_points, entry)(points)


def test_clicks_are_taken_wherever_points_are_given_one_by_one(entry_points):
    clicks = [Click(PAIRS[0], positive=False), Click(PAIRS[1])]

    found = [
        entry_points.photo(clicks),
        entry_points.session(clicks),
        entry_points.prompted(VideoPrompt(0, 1, clicks)),
        of_clicks(ObjectPrompt(clicks=clicks).clicks),
        of_clicks(ObjectPrompt(clicks=[clicks[0], PAIRS[1]]).clicks),
        entry_points.prompted(VideoPrompt(0, 1, [clicks[0], PAIRS[1]])),
        entry_points.photo([clicks[0], PAIRS[1]]),
    ]

    assert found == [of_clicks(clicks)] * len(found)


@pytest.mark.parametrize("entry", ["photo", "session"])
def test_clicks_bring_their_own_labels(entry_points, entry):
    with pytest.raises(PromptError, match="holds Clicks, which carry their own"):
        getattr(entry_points, entry)([Click(PAIRS[0])], labels=[0])


class Boxes(EntryPoints):
    """Ways to give a box; each returns it as floats."""

    def photo(self, box):
        [prompt] = AskedObjects.read(None, {"box": box}).prompts
        prompt.check(SIZE, SIDE, "the object")
        return prompt.box

    def space_photo(self, box):
        [prompt] = read_objects([{"box": box}], Limits())
        prompt.check(SIZE, SIDE, "the object")
        return prompt.box

    def session(self, box):
        with Sam2VideoInferenceSession.open(clip(1), self.model) as session:
            session.box(0, 1, box)
            return session.prompts_of(0, 1).box

    def space_video(self, box):
        [prompt] = read_video_prompts([{"frame": 0, "object_id": 1, "box": box}], Limits())
        return self.prompted(prompt)

    def prompted(self, prompt):
        with Sam2VideoInferenceSession.open(clip(1), self.model) as session:
            prompt.add_to(session)
            return session.prompts_of(0, 1).box

    def nested(self, box):
        (asked,) = read_prompts({"input_boxes": [[box]]}, 1, -10)
        asked.check(SIZE, SIDE, "the photo")
        return tuple(asked.boxes[0].tolist())

    def transformers(self, box):
        session = self.processor.init_video_session(clip(1))
        self.processor.add_inputs_to_inference_session(session, 0, 1, input_boxes=[[box]])
        return session.prompts_of(0, 1).box


TAKE_BOXES = (*OF_PHOTOS_AND_SESSIONS, "nested", "transformers")


@pytest.fixture(scope="module")
def boxes(tiny_video_model, video_processor):
    return Boxes(tiny_video_model, video_processor)


@pytest.mark.parametrize("entry", TAKE_BOXES)
@pytest.mark.parametrize(
    "box",
    [(1, 2, 30, 40), [1, 2, 30, 40], np.array([1, 2, 30, 40]), torch.tensor([1.0, 2, 30, 40])],
    ids=["tuple", "list", "array", "tensor"],
)
def test_a_box_means_the_same_everywhere(boxes, entry, box):
    assert getattr(boxes, entry)(box) == (1.0, 2.0, 30.0, 40.0)


@pytest.mark.parametrize("entry", TAKE_BOXES)
@pytest.mark.parametrize(
    "box",
    [(1, 2, 3), (1, 2, 3, 4, 5), (30, 2, 1, 40), (1, 40, 30, 2), (NAN, 1, 2, 3), (900, 1, 990, 9)],
    ids=str,
)
def test_what_is_no_box_is_refused_everywhere(boxes, entry, box):
    with pytest.raises(PromptError):
        getattr(boxes, entry)(box)


DRAWN = np.zeros(SIZE, bool)
DRAWN[:24, :30] = True
FORMS = {
    "booleans": DRAWN,
    "bytes": DRAWN.astype(np.uint8) * 255,
    "ones": torch.from_numpy(DRAWN).to(torch.int64),
    "probabilities": np.where(DRAWN, 0.9, 0.1).astype(np.float32),
    "leading axis": DRAWN[None],
    "picture": Image.fromarray(DRAWN),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_mask_means_the_same_everywhere(tiny_video_model, video_processor, form):
    found = []
    for give in (
        lambda session, mask: session.mask(0, 1, mask),
        lambda session, mask: VideoPrompt(0, 1, mask=mask).add_to(session),
        lambda session, mask: video_processor.add_inputs_to_inference_session(
            session, 0, 1, input_masks=mask
        ),
        lambda session, mask: video_processor.add_inputs_to_inference_session(
            session, 0, 1, input_masks=[mask]
        ),
    ):
        with Sam2VideoInferenceSession.open(clip(1), tiny_video_model) as session:
            give(session, FORMS[form])
            found.append(session.prompts_of(0, 1).mask_hw)
    photo = ObjectPrompt(mask=FORMS[form])
    photo.check(SIZE, SIDE, "the object")

    assert all(torch.equal(mask, found[0]) for mask in found)
    assert found[0].float().mean() == pytest.approx(DRAWN.mean(), abs=0.02)
    assert (photo.low_res_mask(SIDE) > 0).float().mean() == pytest.approx(DRAWN.mean(), abs=0.03)


def test_a_mask_of_another_size_is_refused_in_the_same_words(tiny_video_model):
    small = np.zeros((10, 20), bool)
    words = (
        rf"is 10 x 20, the picture is {SIZE[0]} x {SIZE[1]} \(height x width\). Give the mask at"
    )

    with pytest.raises(PromptError, match=words):
        ObjectPrompt(mask=small).check(SIZE, SIDE, "the object")
    with Sam2VideoInferenceSession.open(clip(1), tiny_video_model) as session:
        for give in (
            partial(session.mask, 0, 1, small),
            partial(VideoPrompt(0, 1, mask=small).add_to, session),
        ):
            with pytest.raises(PromptError, match=words):
                give()
