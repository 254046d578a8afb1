import json

import numpy as np
import pytest

from sam2_hf.data.annotated_video import RowRecording
from sam2_hf.data.rows import VideoRow, to_segments
from sam2_hf.errors import DataError
from tests.training.drawn_data import (
    GREEN_BOX,
    HEIGHT,
    WIDTH,
    coco_rle,
    is_red,
    photo,
    save,
    square,
)


@pytest.fixture
def image(tmp_path):
    return str(save(photo(), tmp_path / "photo.png"))


@pytest.fixture
def label_map(tmp_path):
    def write(labels_hw):
        path = tmp_path / f"{len(labels_hw)}-{labels_hw.sum()}.png"
        return str(save(labels_hw.astype(np.uint8), path))

    return write


def test_an_annotator_counts_alone_or_all_together(image, label_map):
    maps = [label_map(square() * 3), label_map(square(GREEN_BOX) * 3)]
    row = VideoRow("a", images=[image], label_maps=[maps])

    alone = [RowRecording(row, annotator).objects(0).mask(3) for annotator in (0, 1, 2)]
    together = RowRecording(row).objects(0)

    assert np.array_equal(alone[0], square())
    assert np.array_equal(alone[1], square(GREEN_BOX))
    assert np.array_equal(alone[2], alone[0])
    assert [together.mask(n).sum() for n in (0, 1)] == [mask.sum() for mask in alone[:2]]


def test_pictures_of_single_objects_may_lack_some(image, label_map):
    row = VideoRow("a", images=[image] * 2, masks=[["", label_map(square())], ["", ""]])

    objects = RowRecording(row).objects(0)

    assert list(objects.areas()) == [1]
    assert np.array_equal(objects.mask(1), square())
    assert RowRecording(row).objects(1).size == (HEIGHT, WIDTH)


def test_segments_of_a_frame_are_read(image):
    row = VideoRow("a", images=[image], segments=[to_segments([coco_rle(square()), None])])

    objects = RowRecording(row).objects(0)

    assert np.array_equal(objects.mask(0), square())
    assert objects.unknown == {1}


def test_polygons_without_a_stated_size_count_in_the_picture(image):
    row = VideoRow("a", images=[image], segments=["[[[0, 0, 64, 0, 64, 24, 0, 24]]]"])

    mask_hw = RowRecording(row).objects(0).mask(0)

    assert mask_hw.shape == (HEIGHT, WIDTH)
    assert mask_hw.mean() == 0.5


def test_annotated_frames_of_a_file_find_their_pictures(tmp_path, image):
    frames = [str(save(photo() // 2, tmp_path / f"{n}.png")) for n in range(4)]
    path = tmp_path / "masks.json"
    path.write_text(json.dumps({"masklet": [[coco_rle(square())], [], [coco_rle(square())]]}))
    row = VideoRow("a", images=[*frames, image], segments_file=str(path), every=2)

    recording = RowRecording(row)

    assert recording.num_frames == 2
    assert np.array_equal(np.asarray(recording.picture(1)), photo())
    assert is_red(np.asarray(recording.picture(1)))[recording.objects(1).mask(0)].all()


def test_an_annotated_frame_without_a_picture_says_so(tmp_path, image):
    path = tmp_path / "masks.json"
    path.write_text(json.dumps([[coco_rle(square())], [coco_rle(square())]]))
    row = VideoRow("a", images=[image], segments_file=str(path), every=4)

    with pytest.raises(DataError, match="frame 4 is annotated, but there are only 1 pictures"):
        RowRecording(row).picture(1)


def test_masks_of_several_sizes_are_refused(image, label_map):
    row = VideoRow("a", images=[image], masks=[[label_map(square()), label_map(square()[:40])]])

    with pytest.raises(DataError, match="frame 0 have sizes"):
        RowRecording(row).objects(0)


def test_messages_name_the_file(image):
    row = VideoRow("a", images=[image], segments=["[3]"])

    with pytest.raises(DataError, match=r"a \(.*photo.png\): a mask is 3"):
        RowRecording(row).objects(0)
