"""Synthetic clips as training sees them."""

import numpy as np
import pytest

from sam2_hf.errors import DataError
from sam2_hf.training.synthetic.clips import SyntheticSettings, synthetic_clip

SMALL = SyntheticSettings(num_frames=4, size=96)
SEEDS = range(6)


def photo(seed):
    """Noise with a color of its own."""
    rng = np.random.default_rng(seed)
    color = rng.integers(40, 216, 3)
    return (color + rng.integers(-40, 40, (80, 120, 1))).astype(np.uint8)


def red_square():
    """A gray photo with a red square, and its mask."""
    picture = np.full((100, 100, 3), 60, dtype=np.uint8)
    mask = np.zeros((100, 100), dtype=bool)
    mask[30:70, 30:70] = True
    picture[mask] = (220, 0, 0)
    return picture, mask


def clip_of(seed, settings=SMALL, photos=(), cutouts=()):
    return synthetic_clip(photos, np.random.default_rng(seed), settings, cutouts)


def test_the_same_seed_gives_the_same_clip():
    photos, cutouts = [photo(0), photo(1)], [red_square()]

    first, second = (clip_of(3, photos=photos, cutouts=cutouts) for _ in range(2))

    assert np.array_equal(first.frames_thw3, second.frames_thw3)
    assert np.array_equal(first.masks_othw, second.masks_othw)


def test_another_seed_gives_another_clip():
    assert not np.array_equal(clip_of(1).frames_thw3, clip_of(2).frames_thw3)


@pytest.mark.parametrize("photos", [(), (photo(0),), (photo(0), photo(1), photo(2), photo(3))])
def test_a_clip_has_the_size_that_was_asked_for_with_any_number_of_photos(photos):
    clip = clip_of(0, photos=photos)

    assert clip.frames_thw3.shape == (4, 96, 96, 3)
    assert clip.frames_thw3.dtype == np.uint8
    assert clip.masks_othw.shape[1:] == (4, 96, 96)
    assert clip.masks_othw.dtype == bool


def test_one_frame_makes_a_photo():
    clip = clip_of(0, SyntheticSettings(num_frames=1, size=64))

    assert clip.frames_thw3.shape == (1, 64, 64, 3)


def test_photos_are_read_by_index_and_few_at_a_time():
    class Counted(list):
        reads = 0

        def __getitem__(self, index):
            self.reads += 1
            return super().__getitem__(index)

    photos = Counted(photo(seed) for seed in range(20))
    clip_of(0, photos=photos)

    assert 0 < photos.reads < 6


def test_a_backdrop_shows_the_photo():
    """The green photo is all there is to see between small things."""
    green = np.zeros((50, 70, 3), dtype=np.uint8)
    green[..., 1] = 200
    few = SyntheticSettings(num_frames=1, size=64, num_objects=(1, 1), object_size=(0.2, 0.3))

    frame_hw3 = clip_of(0, few, [green]).frames_thw3[0].astype(int)

    assert (frame_hw3[..., 1] > frame_hw3[..., 0] + 100).mean() > 0.5


def test_visible_masks_never_overlap():
    crowd = SyntheticSettings(num_frames=3, size=96, num_objects=(5, 6), object_size=(0.4, 0.7))

    for seed in SEEDS:
        assert clip_of(seed, crowd).masks_othw.sum(axis=0).max() == 1


def test_every_object_is_seen_well_on_the_first_frame():
    settings = SyntheticSettings(num_frames=2, size=96, min_area=0.02, num_objects=(4, 4))

    for seed in SEEDS:
        area_o = clip_of(seed, settings).masks_othw[:, 0].mean(axis=(1, 2))
        assert area_o.min() >= 0.02


def test_objects_are_as_large_as_the_settings_say():
    small, large = (
        SyntheticSettings(
            num_frames=1, size=96, num_objects=(1, 1), num_parts=(1, 1), object_size=s
        )
        for s in ((0.2, 0.2), (0.7, 0.7))
    )

    assert max(clip_of(seed, small).masks_othw.mean() for seed in SEEDS) < 0.2**2
    assert max(clip_of(seed, large).masks_othw.mean() for seed in SEEDS) > 0.2**2


def test_objects_of_an_annotated_backdrop_are_labeled_where_they_are_seen():
    only_scenes = SyntheticSettings(
        num_frames=6, size=96, scenes=1.0, num_objects=(1, 1), object_size=(0.1, 0.1),
        num_occluders=(0, 0), min_area=0.05, defocus=0.0, noise=(0.0, 0.0),
    )  # fmt: skip
    clip = clip_of(1, only_scenes, cutouts=[red_square()])

    frames_thw3 = clip.frames_thw3.astype(int)
    red_thw = frames_thw3[..., 0] > frames_thw3[..., 1] + 80
    assert len(clip.masks_othw) == 1
    assert (red_thw == clip.masks_othw[0]).mean() > 0.97


def test_annotated_objects_are_cut_out_and_moved_about():
    pasted = SyntheticSettings(
        num_frames=1, size=96, scenes=0.0, cutouts=1.0, num_occluders=(0, 0), similar=0.0
    )
    clip = clip_of(0, pasted, [photo(0)], [red_square()])

    inside_n3 = clip.frames_thw3[0][clip.masks_othw[0, 0]].astype(int)
    assert (inside_n3[:, 0] > inside_n3[:, 1] + 60).mean() > 0.9


def test_a_mask_for_each_of_several_annotated_objects_is_fine():
    picture, mask = red_square()
    both = np.stack([mask, ~mask])

    clip = clip_of(0, SyntheticSettings(num_frames=1, size=64, scenes=1.0), (), [(picture, both)])

    assert len(clip.masks_othw) >= 2


def test_an_annotated_photo_without_objects_is_a_photo_like_any_other():
    empty = (photo(0), np.zeros((0, 80, 120), dtype=bool))

    for share in (0.0, 1.0):
        settings = SyntheticSettings(num_frames=1, size=64, scenes=share, cutouts=1.0)
        assert len(clip_of(0, settings, cutouts=[empty]).masks_othw) >= 1


def test_settings_under_which_nothing_can_be_seen_are_refused():
    hopeless = SyntheticSettings(num_frames=1, size=32, min_area=1.0, object_size=(0.1, 0.1))

    with pytest.raises(DataError, match="Lower min_area"):
        clip_of(0, hopeless)


@pytest.mark.parametrize("bad", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3), np.float32)])
def test_a_photo_that_is_not_rgb_bytes_is_refused(bad):
    with pytest.raises(DataError, match="RGB bytes"):
        clip_of(0, photos=[bad])
