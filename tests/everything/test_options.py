"""Options of everything-mode in videos."""

import pytest

from sam2_hf import PromptError, VideoEverythingOptions
from sam2_hf.errors import OptionError


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key_frame_every": 0}, "key_frame_every is 0, it must be a whole number of at least 1"),
        ({"max_objects": 2.5}, "max_objects is 2.5"),
        ({"end_after": "3"}, "end_after is '3'"),
        ({"min_area": -0.1}, "min_area is -0.1, it must be a number from 0 to 1"),
        ({"match_iou": float("nan")}, "match_iou is nan"),
        ({"layout": "tiles"}, "layout is 'tiles'. Choose one of: overlapping, panoptic"),
        ({"scene_cuts": 0}, "scene_cuts is 0, it must be True or False"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(changes, message):
    with pytest.raises(PromptError, match=message.replace("(", r"\(")):
        VideoEverythingOptions(**changes)


def test_changes_keep_the_rest_and_unknown_names_are_refused():
    options = VideoEverythingOptions(key_frame_every=4).changed(max_objects=7)

    assert (options.key_frame_every, options.max_objects) == (4, 7)
    with pytest.raises(OptionError, match="Did you mean max_objects"):
        options.changed(max_object=7)
