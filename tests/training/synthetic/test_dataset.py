import numpy as np
import pytest

from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import DataError
from sam2_hf.training.dataset_registry import open_source
from sam2_hf.training.synthetic.dataset import NUM_ANNOTATORS, AnnotatedPhotos, PhotoList
from tests.training.drawn_data import coco_rle, photo, save, square, write_coco, write_pairs


def synthetic(path="", num_frames=2, **options):
    return SourceConfig("synthetic", str(path), num_frames=num_frames, options=options)


def draw(source, item=0, seed=0):
    return source.draw_clip(item, 64, np.random.default_rng(seed))


def test_clips_are_made_up_without_photos():
    clip = draw(open_source(synthetic()), item=5)

    assert clip.frames_thw3.shape == (2, 64, 64, 3)
    assert clip.masks_othw[:, 0].any(axis=(1, 2)).all()
    assert clip.name == "synthetic 5"


def test_the_same_chance_makes_the_same_clip(tmp_path):
    source = open_source(synthetic(write_pairs(tmp_path)))

    first, second, other = draw(source, seed=1), draw(source, seed=1), draw(source, seed=2)

    assert np.array_equal(first.frames_thw3, second.frames_thw3)
    assert not np.array_equal(first.frames_thw3, other.frames_thw3)


def test_a_whole_clip_depends_on_its_number_alone():
    source = open_source(synthetic(size=32))

    first, second = source.whole_clip(3), source.whole_clip(3)

    assert first.frames_thw3.shape == (2, 32, 32, 3)
    assert np.array_equal(first.frames_thw3, second.frames_thw3)


def test_clips_are_made_at_input_size_unless_told_otherwise():
    coarse, usual = (
        draw(open_source(synthetic(**options))).masks_othw[0, 0] for options in ({"size": 16}, {})
    )

    assert np.array_equal(coarse, np.kron(coarse[::4, ::4], np.ones((4, 4), np.bool_)))
    assert not np.array_equal(usual, np.kron(usual[::4, ::4], np.ones((4, 4), np.bool_)))


def test_label_maps_are_no_photos(tmp_path):
    write_pairs(tmp_path / "below", count=2)
    save(photo(), tmp_path / "below" / "alone.png")
    save(square().astype(np.uint8), tmp_path / "below" / "p0.4.png")

    source = open_source(synthetic(tmp_path))

    assert len(source._photos) == 3
    assert source._photos[2].shape == photo().shape


def test_annotated_photos_give_their_objects(tmp_path):
    write_pairs(tmp_path / "pairs", count=2)
    path = write_coco(tmp_path / "coco", [coco_rle(square())], names=("a.jpg",))
    sources = [
        open_source(SourceConfig("pairs", str(tmp_path / "pairs"))),
        open_source(SourceConfig("coco", str(path))),
    ]

    annotated = AnnotatedPhotos(sources)

    assert len(annotated) == 3 * NUM_ANNOTATORS
    for place in (0, 2 * NUM_ANNOTATORS - 1, 2 * NUM_ANNOTATORS, len(annotated) - 1):
        assert np.array_equal(annotated[place][1], square()[None])
    with pytest.raises(IndexError):
        annotated[len(annotated)]


def test_clips_use_annotated_photos(tmp_path):
    annotated = f"pairs:{write_pairs(tmp_path)}"

    source = open_source(synthetic(annotated=[annotated], scenes=1.0, num_objects=[1, 1]))

    assert draw(source).masks_othw.any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"annotated": "pairs:x"}, "must be a list"),
        ({"annotated": ["photos"]}, "not KIND:PATH"),
        ({"annotated": ["films:x"]}, 'no kind of data "films"'),
        ({"color": 1}, "have no option color"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, said):
    with pytest.raises(DataError, match=said):
        open_source(synthetic(**options))


def test_a_folder_without_photos_says_what_is_expected(tmp_path):
    with pytest.raises(DataError, match=r"there is no photo in it. The kind synthetic expects"):
        open_source(synthetic(tmp_path))


def test_a_damaged_photo_makes_the_clip_unusable(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"nothing")

    with pytest.raises(DataError, match=r"synthetic 0: .*a.jpg"):
        draw(open_source(synthetic(tmp_path)))


def test_photos_are_a_list_that_reads(tmp_path):
    path = save(photo(), tmp_path / "a.png")

    photos = PhotoList([path, path])

    assert len(photos[1:]) == 1
    assert np.array_equal(photos[0], photo())
