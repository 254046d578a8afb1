from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import FrameError, VideoError
from sam2_hf.frames.image_sequence import PicturePages, is_paged
from sam2_hf.frames.open import open_frames
from tests.video.clip_files import pictures

CLIP = pictures(6, height=20, width=30)
KINDS = {
    "stack.tif": {},
    "stack.TIFF": {},
    "film.webp": {"lossless": True, "duration": [10, 20, 30, 40, 50, 60]},
    "film.png": {"duration": [10, 20, 30, 40, 50, 60]},
    "film.apng": {"format": "PNG", "duration": [10, 20, 30, 40, 50, 60]},
}


def save_pages(path, clip, **options):
    first, *rest = [Image.fromarray(picture) for picture in clip]
    first.save(path, save_all=True, append_images=rest, **options)
    return path


@pytest.mark.parametrize("name", KINDS)
def test_every_page_is_a_frame_in_any_order(tmp_path, name):
    path = save_pages(tmp_path / name, CLIP, **KINDS[name])

    for given in (path, [path]):
        with open_frames(given, image_size=16) as frames:
            assert (frames.num_frames, frames.size) == (6, (20, 30))
            for number in (0, 5, 2, 3, 0):
                assert np.array_equal(frames.picture(number), CLIP[number])


@pytest.mark.parametrize("name", ["film.webp", "film.png"])
def test_an_animation_knows_its_times_and_a_stack_does_not(tmp_path, name):
    save_pages(tmp_path / name, CLIP, **KINDS[name])
    save_pages(tmp_path / "a.tif", CLIP)

    with closing(PicturePages(tmp_path / name)) as film:
        assert [film.time(frame) for frame in range(6)] == [0, 0.01, 0.03, 0.06, 0.1, 0.15]
        assert float(film.fps) == pytest.approx(6 / 0.21)
    with closing(PicturePages(tmp_path / "a.tif")) as stack:
        assert (stack.time(3), stack.fps) == (None, None)


def test_frames_of_an_animation_are_laid_over_those_before(tmp_path):
    whole = Image.new("RGBA", (30, 20), (200, 30, 10, 255))
    patch = Image.new("RGBA", (30, 20), (0, 0, 0, 0))
    patch.paste((0, 0, 255, 255), (0, 0, 5, 5))
    whole.save(tmp_path / "a.png", save_all=True, append_images=[patch], blend=1, disposal=0)

    with closing(PicturePages(tmp_path / "a.png")) as film:
        second = film.take(1)()

    assert second[2, 2].tolist() == [0, 0, 255]
    assert second[15, 20].tolist() == [200, 30, 10]


def test_what_only_other_programs_show_is_no_frame_of_an_animation(tmp_path):
    path = save_pages(tmp_path / "a.png", CLIP, default_image=True, duration=[10] * 5)

    with closing(PicturePages(path)) as film:
        assert film.num_frames == 5
        assert np.array_equal(film.take(0)(), CLIP[1])


def test_pages_of_two_sizes_are_named(tmp_path):
    first = Image.fromarray(CLIP[0])
    first.save(tmp_path / "a.tif", save_all=True, append_images=[first.resize((10, 10))])

    with (
        open_frames(tmp_path / "a.tif", image_size=16) as frames,
        pytest.raises(FrameError, match=r"frame 1 of .*a\.tif is 10 x 10 pixels"),
    ):
        frames.picture(1)


def test_a_deep_stack_has_one_scale(tmp_path):
    deep = np.stack([np.full((20, 30), value, np.uint16) for value in (0, 1000, 2000, 4000)])
    path = save_pages(tmp_path / "deep.tif", deep)

    with open_frames(path, image_size=16, value_range=(0, 4000)) as frames:
        assert [frames.picture(n).max() for n in range(4)] == [0, 64, 128, 255]
    with open_frames(path, image_size=16, value_range="percentile") as frames:
        assert [frames.picture(n).max() for n in range(4)] == [0, 64, 128, 255]


def test_a_signed_stack_is_refused_until_a_range_is_given(tmp_path):
    path = save_pages(tmp_path / "ct.tif", np.full((2, 20, 30), -500, np.int32))

    with pytest.raises(VideoError, match=r"whole numbers from -500 to -500.*value_range"):
        open_frames(path, image_size=16)
    with open_frames(path, image_size=16, value_range=(-1000, 0)) as frames:
        assert (frames.picture(1) == 128).all()


def test_a_file_cut_in_the_middle_names_the_page(tmp_path):
    path = save_pages(tmp_path / "a.webp", CLIP, lossless=True)
    path.write_bytes(path.read_bytes()[:-3000])

    with pytest.raises(VideoError, match=r"a\.webp"):
        open_frames(path, image_size=16)


@pytest.mark.parametrize("name", ["one.tif", "one.png", "one.webp", "one.jpg", "one.bmp"])
def test_a_file_of_one_picture_has_no_pages(tmp_path, name):
    Image.fromarray(CLIP[0]).save(tmp_path / name)

    assert not is_paged(tmp_path / name)
    with open_frames(tmp_path / name, image_size=16) as frames:
        assert frames.num_frames == 1


def test_a_photo_with_a_second_picture_in_it_is_a_photo(tmp_path):
    """Phones store a depth map or a second lens in the same JPEG."""
    path = save_pages(tmp_path / "phone.jpg", CLIP[:2], format="MPO")

    with open_frames(path, image_size=16) as frames:
        assert frames.num_frames == 1


def test_closing_can_be_repeated(tmp_path):
    pages = PicturePages(save_pages(tmp_path / "a.tif", CLIP))

    pages.close()
    pages.close()


def test_what_is_no_picture_has_no_pages(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\x00 and nothing more")

    assert not is_paged(str(tmp_path / "a.tif"))
    assert not is_paged(str(tmp_path))
    with pytest.raises(VideoError, match="cannot be read as pages"):
        PicturePages(tmp_path / "a.tif")
