"""The ways to say which object is meant."""

import numpy as np
import pytest
import torch

from sam2_hf import Click, ObjectPrompt, PromptError
from sam2_hf.pipelines.image_prompts import AskedObjects, object_prompt

CLICKS = (Click((1, 2)), Click((3, 4), positive=False))


@pytest.mark.parametrize(
    "points",
    [[(1, 2), (3, 4)], np.array([[1, 2], [3, 4]]), torch.tensor([[1.0, 2.0], [3.0, 4.0]])],
    ids=["list", "array", "tensor"],
)
def test_points_come_in_any_form(points):
    assert object_prompt({"points": points, "labels": [1, 0]}).clicks == CLICKS


def test_points_may_be_clicks():
    assert object_prompt({"points": CLICKS}).clicks == CLICKS
    assert object_prompt({"points": CLICKS[0]}).clicks == CLICKS[:1]


def test_one_point_needs_no_list_and_no_label():
    assert object_prompt({"points": (1, 2)}).clicks == CLICKS[:1]


def test_a_prompt_is_taken_as_it_is():
    prompt = ObjectPrompt(box=(1, 2, 3, 4))

    assert object_prompt(prompt) is prompt


def test_keywords_mean_one_object():
    asked = AskedObjects.read(None, {"box": [1, 2, 3, 4], "points": None})

    assert asked.prompts[0].box == (1, 2, 3, 4)
    assert asked.shaped(["answer"]) == "answer"


def test_a_dictionary_of_parts_is_one_object_and_one_of_objects_is_several():
    one = AskedObjects.read({"points": (1, 2)}, {})
    named = AskedObjects.read({"box": {"points": (1, 2)}, "cup": CLICKS_PROMPT}, {})

    assert one.shaped(["answer"]) == "answer"
    assert named.shaped(["first", "second"]) == {"box": "first", "cup": "second"}


CLICKS_PROMPT = ObjectPrompt(clicks=CLICKS)


def test_a_list_is_answered_with_a_list():
    asked = AskedObjects.read([CLICKS_PROMPT, {"box": (0, 0, 1, 1)}], {})

    assert asked.shaped(("first", "second")) == ["first", "second"]


@pytest.mark.parametrize(
    ("objects", "parts", "message"),
    [
        (None, {}, "there is no prompt"),
        (None, {"points": None}, "there is no prompt"),
        (CLICKS_PROMPT, {"points": (1, 2)}, "both objects and keywords"),
        (None, {"labels": [1]}, r"0 point\(s\) and labels has 1 label"),
        (None, {"points": [(1, 2)], "labels": [1, 0]}, r"1 point\(s\) and labels has 2 label"),
        (None, {"points": [(1, 2)], "labels": [2]}, "1 for a point on the object"),
        (None, {"points": [(1, 2, 3)]}, r"Give \(x, y\)"),
        (None, {"points": "here"}, r"Give \(x, y\)"),
        (None, {"points": []}, "the prompt is empty"),
        (None, {"points": [], "labels": [1]}, r"0 point\(s\) and labels has 1 label"),
        (None, {"points": 5}, r"Give \(x, y\)"),
        (None, {"boxes": [[1, 2, 3]]}, r"Give \(n, 4\)"),
        (None, {"boxes": np.zeros((2, 6))}, r"Give \(n, 4\)"),
        (None, {"boxes": "all"}, r"Give \(n, 4\)"),
        (None, {"boxes": [[1, 2, 3, 4]], "points": (1, 2)}, "boxes are given together"),
        (CLICKS_PROMPT, {"boxes": [[1, 2, 3, 4]]}, "boxes are given together"),
        (5, {}, "objects are 5"),
        (None, {"points": [(float("nan"), 2)]}, "nan"),
        ([{"clicks": [(1, 2)]}], {}, "dictionary with some of points"),
        ([(1, 2)], {}, "an object is given as"),
    ],
)
def test_what_cannot_be_understood_says_why(objects, parts, message):
    with pytest.raises(PromptError, match=message):
        AskedObjects.read(objects, parts)


def test_a_message_names_the_object():
    asked = AskedObjects.read({"cup": CLICKS_PROMPT, "spoon": {"points": (99, 2)}}, {})

    with pytest.raises(PromptError, match="object 'spoon'"):
        asked.check((50, 50), 64)
