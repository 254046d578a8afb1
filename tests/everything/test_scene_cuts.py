"""Scene cuts: found where clips were joined, and nowhere else."""

import os
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from sam2_hf.errors import FrameError
from sam2_hf.everything.scene_cuts import (
    BLUR,
    LEAST_SHARED,
    SceneCuts,
    Thumbnail,
    best_correlation,
    find_scene_cuts,
)
from sam2_hf.frames.open import open_frames

CLIPS = os.environ.get("SAM2_CLIPS")  # folders of frames, separated by colons
LENGTH = 16


@pytest.fixture(scope="module")
def clips():
    """Six clips of 72 x 128 pixels: a disc moves over a background that moves, too."""
    return [textured_clip(seed) for seed in range(6)]


def textured_clip(seed):
    random = np.random.default_rng(seed)
    coarse = random.random((6, 14, 3)) * random.uniform(60, 220, 3)
    wide = ndimage.zoom(coarse, (12, 12, 1), order=1)
    wide += ndimage.zoom(random.random((24, 56, 3)), (3, 3, 1), order=1) * 60
    row, column = np.mgrid[:72, :128]
    color, left, top = random.uniform(0, 255, 3), random.uniform(20, 60), random.uniform(20, 50)
    frames = []
    for frame in range(LENGTH):
        picture = wide[:, 2 * frame : 2 * frame + 128].copy()
        picture[(row - top) ** 2 + (column - left - 3 * frame) ** 2 < 200] = color
        frames.append(picture.clip(0, 255).astype(np.uint8))
    return np.array(frames)


@pytest.fixture(scope="module")
def scenery():
    """A wide picture to pan over."""
    noise = np.random.default_rng(5).random((6, 40, 3))
    wide = ndimage.zoom(noise, (12, 24, 1), order=1) * 200
    wide += ndimage.zoom(np.random.default_rng(6).random((24, 320, 3)), (3, 3, 1), order=1) * 55
    return wide.clip(0, 255).astype(np.uint8)


def cuts_of(pictures):
    with open_frames(list(pictures), image_size=64) as frames:
        return list(find_scene_cuts(frames))


def pan(scenery, step, num_frames=14):
    width = 128
    return [scenery[:, step * n : step * n + width] for n in range(num_frames)]


def flash(pictures, first, length, kind):
    """Light up some frames."""
    lit = np.array(pictures).astype(float)
    part = lit[first : first + length]
    if kind == "white":
        part[:] = 255
    elif kind == "black":
        part[:] = 0
    elif kind == "bright":
        part[:] = part * 2.5 + 60
    else:  # it fades
        part += 220 * (1 - np.arange(len(part)) / len(part))[:, None, None, None]
    return lit.clip(0, 255).astype(np.uint8)


def test_every_join_of_different_clips_is_a_cut_and_nothing_else_is(clips):
    for first, second in [*permutations(range(4), 2), (4, 5), (5, 0)]:
        joined = [*clips[first], *clips[second]]

        assert cuts_of(joined) == [LENGTH], (first, second)


def test_several_cuts_are_found_also_of_short_scenes(clips):
    joined = [*clips[0], *clips[1][:7], *clips[2][3:], *clips[3][:9]]

    assert cuts_of(joined) == [16, 23, 36]


@pytest.mark.parametrize("length", [1, 3, 6])
@pytest.mark.parametrize("kind", ["white", "black", "bright", "fading"])
def test_a_flash_is_no_cut(clips, kind, length):
    assert cuts_of(flash(clips[0], 6, length, kind)) == []


def test_a_longer_blank_screen_is_a_scene(clips):
    blank = np.zeros((10, *clips[0].shape[1:]), np.uint8)

    assert cuts_of([*clips[0], *blank, *clips[1]]) == [16, 26]


@pytest.mark.parametrize("step", [6, 20, 40, 60])  # pixels a frame, of 128 columns
def test_a_pan_is_no_cut(scenery, step):
    assert cuts_of(pan(scenery, step)) == []


def test_a_cut_between_pans_is_found(scenery, clips):
    assert cuts_of([*pan(scenery, 30), *clips[2]]) == [14]
    assert cuts_of([*clips[2], *pan(scenery, 30)]) == [16]


def test_fast_motion_is_no_cut(clips):
    assert [cuts_of(clip[::2]) for clip in clips] == [[]] * len(clips)


def test_a_still_picture_has_no_cuts_and_a_video_of_one_frame_neither(clips):
    assert cuts_of([clips[0][0]] * 12) == []
    assert cuts_of([clips[0][0]]) == []


def test_a_cut_shortly_before_the_end_or_a_broken_frame_is_found(clips):
    joined = [*clips[0], *clips[1][:2]]
    assert cuts_of(joined) == [16]

    with open_frames([*joined, clips[1][2]], image_size=64) as frames:
        read = frames.picture

        def broken(frame):
            if frame == 18:
                raise FrameError("frame 18 cannot be read")
            return read(frame)

        frames.picture = broken
        cuts = SceneCuts(frames)
        assert [frame for frame in range(1, 18) if cuts.begins_scene(frame)] == [16]
        with pytest.raises(FrameError, match="frame 18"):
            cuts.begins_scene(18)


def test_an_iterator_is_read_a_few_frames_ahead(clips):
    with open_frames(iter([*clips[0], *clips[1]]), image_size=64, ring=16) as frames:
        assert list(find_scene_cuts(frames)) == [16]


def test_memory_does_not_grow_with_the_video(clips):
    with open_frames([*clips[0], *clips[1]] * 3, image_size=64) as frames:
        cuts = SceneCuts(frames)
        for frame in range(1, 90):
            cuts.begins_scene(frame)

        assert len(cuts._thumbnails) <= 16
        assert len(cuts._differences) <= 16**2


def test_the_correlation_is_the_best_of_all_shifts_with_enough_in_common():
    wide = ndimage.gaussian_filter(np.random.default_rng(1).random((32, 96)), 1)
    first, shifted, far = wide[:, :48], wide[:, 20:68], wide[:, 40:88]

    assert best_correlation(first, first) == pytest.approx(1)
    assert best_correlation(first, shifted) == pytest.approx(slow_correlation(first, shifted))
    assert best_correlation(first, shifted) > 0.98
    assert best_correlation(first, far) == pytest.approx(slow_correlation(first, far))
    assert best_correlation(first, far) < 0.5
    assert best_correlation(first, np.zeros((32, 48))) == 0


def slow_correlation(first, second):
    """The same by definition, shift by shift."""
    first, second = first - first.mean(), second - second.mean()
    floors = [0.15 * values.var() for values in (first, second)]
    best = -1.0
    for down in range(-31, 32):
        for right in range(-47, 48):
            a = first[max(0, down) : 32 + min(0, down), max(0, right) : 48 + min(0, right)]
            b = second[max(0, -down) : 32 + min(0, -down), max(0, -right) : 48 + min(0, -right)]
            if a.size < LEAST_SHARED * 32 * 48:
                continue
            together = ((a - a.mean()) * (b - b.mean())).mean()
            scale = max(a.var(), floors[0]) * max(b.var(), floors[1])
            best = max(best, together / np.sqrt(scale))
    return best


def test_brightness_alone_changes_no_structure(clips):
    picture = clips[0][0] // 2
    dark, light = Thumbnail.of(picture), Thumbnail.of(picture + 60)

    np.testing.assert_allclose(dark.structure_hw, light.structure_hw, atol=1e-6)
    assert BLUR == 3.0
    assert dark.difference(light) < 0.05


@pytest.fixture(scope="module")
def real_clips():
    """Clips of the folders in SAM2_CLIPS."""
    if not CLIPS:
        pytest.skip("SAM2_CLIPS names no folders of frames")
    found = []
    for folder in map(Path, CLIPS.split(":")):
        files = sorted(folder.glob("*.jpg")) or sorted(folder.glob("*.png"))
        found.append(
            [np.asarray(Image.open(file).convert("RGB").resize((240, 135))) for file in files]
        )
    return found


@pytest.mark.slow
def test_real_clips_have_cuts_where_they_are_joined_alone(real_clips):
    for clip in real_clips:
        assert cuts_of(clip) == []
        assert cuts_of(clip[::2]) == []
        for kind in ("white", "black", "bright", "fading"):
            assert cuts_of(flash(clip[:24], 9, 3, kind)) == []
        wide = np.asarray(Image.fromarray(clip[0]).resize((960, 540)))
        for step in (20, 60, 110):
            assert cuts_of([wide[:, step * n : step * n + 300] for n in range(6)]) == []
    for first, second in permutations(range(len(real_clips)), 2):
        joined = [*real_clips[first][-12:], *real_clips[second][:12]]
        assert cuts_of(joined) == [12], (first, second)
