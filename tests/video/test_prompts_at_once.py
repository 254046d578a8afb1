"""All that was said at once about one object on one frame."""

import numpy as np
import pytest

from sam2_hf import Click, FrameError, PromptError, Sam2VideoInferenceSession, VideoPrompt
from tests.video.transformers_usage import SIZE, clip


@pytest.fixture
def session(tiny_video_model):
    """A session on eight frames, without objects."""
    return Sam2VideoInferenceSession.open(clip(), tiny_video_model)


@pytest.mark.parametrize(
    "clicks",
    [(30, 20), [(30, 20)], Click((30, 20)), [Click((30, 20))], np.array([[30, 20]])],
    ids=["pair", "pairs", "click", "clicks", "array"],
)
def test_one_click_may_come_in_many_forms(clicks):
    (click,) = VideoPrompt(0, 1, clicks=clicks).clicks

    assert (click.xy, click.positive) == ((30.0, 20.0), True)


def test_pairs_and_clicks_may_be_mixed():
    clicks = VideoPrompt(0, 1, clicks=[(30, 20), Click((5, 5), positive=False)]).clicks

    assert [click.positive for click in clicks] == [True, False]


def test_clicks_and_box_are_one_round(session):
    VideoPrompt(2, 7, clicks=[(30, 20)], box=(10, 12, 40, 30)).add_to(session)

    prompts = session.prompts_of(2, 7)
    assert (len(prompts.clicks), prompts.box) == (1, (10.0, 12.0, 40.0, 30.0))
    assert session.undo()
    assert session.object_ids == ()


def test_clicks_join_those_before(session):
    for place in ((30, 20), (5, 5)):
        VideoPrompt(0, 1, clicks=place).add_to(session)

    assert len(session.prompts_of(0, 1).clicks) == 2


def test_a_prompt_may_take_the_place_of_all_that_was_said_before(session):
    session.click(0, 1, [(30, 20), (5, 5)], positive=[True, False])
    session.box(0, 1, (10, 12, 40, 30))
    session.click(2, 1, (30, 20))

    session.replace_prompts(VideoPrompt(0, 1, clicks=(32, 22)))
    prompts = session.prompts_of(0, 1)
    assert [click.xy for click in prompts.clicks] == [(32.0, 22.0)]
    assert prompts.box is None
    session.replace_prompts(VideoPrompt(0, 1, mask=np.ones(SIZE, bool)))
    assert not session.prompts_of(0, 1).clicks
    assert session.prompts_of(2, 1).clicks  # another frame

    assert session.undo()
    assert len(session.prompts_of(0, 1).clicks) == 1
    with pytest.raises(FrameError, match="frame 99 is out of range"):
        session.replace_prompts(VideoPrompt(99, 1, clicks=(3, 3)))


def test_a_mask_is_given_as_it_is(session):
    VideoPrompt(0, 1, mask=np.ones(SIZE, bool)).add_to(session)

    assert session.prompts_of(0, 1).mask_hw.all()


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, "object 1 on frame 0 is empty"),
        ({"mask": np.ones(SIZE), "box": (1, 2, 3, 4)}, "has a mask, and clicks or a box"),
        ({"clicks": "here"}, "clicks of object 1 on frame 0"),
        ({"clicks": [1, 2, 3]}, "clicks of object 1 on frame 0"),
        ({"box": (1, 2, 3)}, "the box of object 1 on frame 0 is"),
    ],
)
def test_what_is_no_prompt_is_refused(parts, message):
    with pytest.raises(PromptError, match=message):
        VideoPrompt(0, 1, **parts)


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        (VideoPrompt(9, 1, clicks=(3, 3)), FrameError, "frame 9 is out of range"),
        (VideoPrompt(0, 1, clicks=(300, 3)), PromptError, "lies outside the picture"),
        (VideoPrompt(0, 1, box=(300, 3, 310, 9)), PromptError, "lies outside the picture"),
        (VideoPrompt(0, 1, mask=np.ones((4, 4))), PromptError, "is 4 x 4, the picture is"),
    ],
)
def test_what_does_not_fit_the_video_is_refused(session, prompt, error, message):
    with pytest.raises(error, match=message):
        prompt.add_to(session)

    assert session.object_ids == ()
