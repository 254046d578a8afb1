from dataclasses import replace

import numpy as np
import pytest

from sam2_hf.data.annotated_video import ClipRecording
from sam2_hf.data.clip import Clip
from sam2_hf.data.clip_sampling import MIN_PIXELS, draw_frames, sample_clip, whole_clip
from sam2_hf.data.config import Augmentation, SourceConfig
from sam2_hf.data.frame_annotations import MaskList
from sam2_hf.errors import DataError
from tests.training.drawn_data import (
    GREEN_BOX,
    HEIGHT,
    WIDTH,
    agreement,
    is_red,
    moving_clip,
    moving_recording,
    photo,
    square,
)

STILL = Augmentation(
    horizontal_flip=0, degrees=0, shear=0, zoom=(6, 6), zoom_on_object=0, grayscale=0
)


def config(**values):
    return SourceConfig("davis", **values)


def random(seed=0):
    return np.random.default_rng(seed)


def many(**values):
    return [draw_frames(moving_recording(9), config(**values), random(s)) for s in range(200)]


def test_neighboring_frames_are_taken_from_anywhere():
    drawn = many(num_frames=4)

    assert all(np.diff(frames).tolist() == [1, 1, 1] for frames in drawn)
    assert {frames[0] for frames in drawn} == set(range(6))


def test_frames_lie_as_far_apart_as_drawn_and_as_fits():
    gaps = [set(np.diff(frames).tolist()) for frames in many(num_frames=4, frame_step=(1, 5))]

    assert {gap for one in gaps for gap in one} == {1, 2}
    assert all(len(one) == 1 for one in gaps)


def test_time_runs_backward_as_often_as_wanted():
    backward = [frames[0] > frames[-1] for frames in many(num_frames=3, reverse=0.3)]

    assert 0.2 < np.mean(backward) < 0.4


def test_no_number_of_frames_takes_all():
    assert many(num_frames=0)[0] == list(range(9))


def test_too_few_frames_say_how_many_there_are():
    with pytest.raises(DataError, match=r"moving: 4 annotated frame\(s\), but a clip takes 5"):
        sample_clip(moving_recording(4), config(num_frames=5), 32, random())


def test_masks_lie_on_their_object_in_every_frame():
    augment = Augmentation(grayscale=0, zoom=(0.8, 1.4))

    for seed in range(5):
        settings = config(num_frames=3, augment=augment, reverse=0.5)
        clip = sample_clip(moving_recording(6), settings, 64, random(seed))

        assert clip.frames_thw3.shape == (3, 64, 64, 3)
        pairs = zip(clip.masks_othw[0], clip.frames_thw3, strict=True)
        assert min(agreement(mask, is_red(frame)) for mask, frame in pairs) > 0.75


def appearing(first_visible):
    """A clip whose second object comes into view later."""
    clip = moving_clip(6)
    later = np.zeros_like(clip.masks_othw)
    later[0, first_visible:] = square(GREEN_BOX)
    return ClipRecording(Clip(clip.frames_thw3, np.concatenate([clip.masks_othw, later]), "late"))


def test_only_objects_of_the_first_frame_are_taken():
    clip = sample_clip(appearing(3), config(num_frames=0), 32, random())

    assert len(clip.masks_othw) == 1


def test_objects_that_vanish_later_stay_with_empty_masks():
    frames = moving_clip(4)
    masks = frames.masks_othw.copy()
    masks[:, 2:] = False
    recording = ClipRecording(Clip(frames.frames_thw3, masks, "leaving"))

    clip = sample_clip(recording, config(num_frames=4), 32, random())

    assert clip.masks_othw.any(axis=(0, 2, 3)).tolist() == [True, True, False, False]


def test_another_beginning_is_drawn_until_an_object_is_visible():
    clip = moving_clip(12)
    masks = clip.masks_othw.copy()
    masks[:, :8] = False
    recording = ClipRecording(Clip(clip.frames_thw3, masks, "late"))

    found = [sample_clip(recording, config(num_frames=2), 32, random(s)) for s in range(20)]

    assert all(one.masks_othw[:, 0].any() for one in found)


def test_a_recording_without_objects_says_so():
    empty = Clip(moving_clip().frames_thw3, np.zeros((1, 4, HEIGHT, WIDTH), np.bool_), "empty")

    with pytest.raises(DataError, match="empty: no object of a usable size"):
        sample_clip(ClipRecording(empty), config(num_frames=2), 32, random())


def test_areas_are_those_of_the_picture_before_it_is_varied():
    both = Clip(photo()[None], np.stack([square(), square((0, 0, 3, 3))])[:, None], "two")
    areas = square().mean(), square((0, 0, 3, 3)).mean()

    large = whole_clip(ClipRecording(both), config(min_area=areas[1] * 2))
    small = whole_clip(ClipRecording(both), config(max_area=areas[0] / 2))

    assert large.masks_othw.sum() == square().sum()
    assert small.masks_othw.sum() == 9


def test_at_most_so_many_objects_are_taken_and_each_of_them_sometimes():
    masks = np.stack([square((row, 8, row + 8, 40)) for row in range(0, 40, 8)])[:, None]
    recording = ClipRecording(Clip(photo()[None], masks, "rows"))

    found = [sample_clip(recording, config(max_objects=2), 48, random(s)) for s in range(30)]

    assert {len(clip.masks_othw) for clip in found} == {2}
    tops = {int(mask.any(axis=1).argmax()) for clip in found for mask in clip.masks_othw[:, 0]}
    assert len(tops) == 5
    assert len(sample_clip(recording, config(max_objects=0), 48, random()).masks_othw) == 5


def test_an_object_that_a_zoom_leaves_outside_is_not_taken():
    corners = np.stack([square((0, 0, 8, 8)), square((40, 56, 48, 64))])[:, None]
    recording = ClipRecording(Clip(photo()[None], corners, "corners"))
    near = Augmentation(horizontal_flip=0, degrees=0, shear=0, zoom=(4, 4), zoom_on_object=1)

    clips = [sample_clip(recording, config(augment=near), 32, random(s)) for s in range(20)]

    assert {len(clip.masks_othw) for clip in clips} == {1}
    assert all((clip.masks_othw.sum(axis=(2, 3)) >= MIN_PIXELS).all() for clip in clips)


def test_where_every_variation_loses_the_object_the_whole_picture_is_shown():
    """A zoom of 6 anywhere finds a corner of 4 pixels about once in a hundred times."""
    corner = Clip(photo()[None], square((0, 60, 6, 64))[None, None], "corner")

    clips = [
        sample_clip(ClipRecording(corner), config(augment=STILL), 64, random(s)) for s in range(10)
    ]

    plain = sample_clip(ClipRecording(corner), config(), 64, random())
    assert all(clip.masks_othw.any() for clip in clips)
    assert any(np.array_equal(clip.masks_othw, plain.masks_othw) for clip in clips)


def test_colors_change_also_where_every_variation_loses_the_object():
    corner = Clip(photo()[None], square((0, 60, 6, 64))[None, None], "corner")
    gray = replace(STILL, grayscale=1, zoom=(30, 30))

    clip = sample_clip(ClipRecording(corner), config(augment=gray), 64, random())

    plain = sample_clip(ClipRecording(corner), config(), 64, random())
    assert np.array_equal(clip.masks_othw, plain.masks_othw)
    assert not np.array_equal(clip.frames_thw3, plain.frames_thw3)
    assert (clip.frames_thw3 == clip.frames_thw3[..., :1]).all()


def test_an_object_of_a_few_pixels_cannot_be_used():
    speck = Clip(photo()[None], square((0, 0, 2, 2))[None, None], "speck")

    with pytest.raises(DataError, match="keeps 16 pixels at input size 32"):
        sample_clip(ClipRecording(speck), config(), 32, random())


class Unsure(ClipRecording):
    """A recording that does not know its object 0 on the third frame."""

    def objects(self, frame):
        masks_ohw = self._clip.masks_othw[:, frame]
        areas = {number: int(mask.sum()) for number, mask in enumerate(masks_ohw)}
        unknown = frozenset({0} if frame == 2 else ())
        return MaskList((HEIGHT, WIDTH), areas, lambda number: masks_ohw[number], unknown)


def test_an_object_that_is_not_known_on_every_frame_is_not_taken():
    clip = moving_clip(4)
    masks = np.concatenate([clip.masks_othw, np.tile(square(GREEN_BOX), (1, 4, 1, 1))])
    recording = Unsure(Clip(clip.frames_thw3, masks, "unsure"))

    whole = sample_clip(recording, config(num_frames=4, max_objects=0), 64, random())
    early = sample_clip(recording, config(num_frames=2, max_objects=0), 64, random(1))

    assert len(whole.masks_othw) == 1
    assert len(early.masks_othw) in (1, 2)


class Broken(ClipRecording):
    closed = False

    def picture(self, frame):
        raise EOFError

    def close(self):
        self.closed = True


def test_whatever_a_decoder_raises_becomes_one_error_and_files_are_closed():
    recording = Broken(moving_clip())

    with pytest.raises(DataError, match="moving: EOFError"):
        whole_clip(recording, config())

    assert recording.closed


def test_a_whole_clip_has_its_own_size_and_every_frame():
    clip = whole_clip(moving_recording(5), config(num_frames=2))

    assert np.array_equal(clip.frames_thw3, moving_clip(5).frames_thw3)
    assert np.array_equal(clip.masks_othw, moving_clip(5).masks_othw)
