"""Prompts of CVAT's files."""

from xml.etree import ElementTree

import pytest

from sam2_hf import rle
from sam2_hf.engine.prompts.cvat import cvat_objects
from sam2_hf.errors import DataError

BOX = 'xtl="1" ytl="2" xbr="8" ybr="9"'
TRACKS = f"""<annotations><meta><task><source>cup.mp4</source></task></meta>
<track label="mug">
  <box frame="0" keyframe="1" outside="0" {BOX}/>
  <box frame="1" keyframe="0" outside="0" {BOX}/>
  <box frame="5" keyframe="1" outside="0" {BOX}/>
  <box frame="6" keyframe="1" outside="1" {BOX}/>
</track>
<track label="dot"><points frame="2" keyframe="1" points="3,4;5,6"/></track>
</annotations>"""
IMAGES = f"""<annotations>
<image name="cup/frame_000012.jpg" width="20" height="10"><box label="mug" {BOX}/>
<mask label="hole" left="2" top="1" width="3" height="2" rle="1,2,3"/></image>
</annotations>"""


def test_keyframes_that_show_the_object_are_prompts():
    mug, dot = cvat_objects(ElementTree.fromstring(TRACKS), "cup.xml")["cup.mp4"]

    assert [prompt.frame for prompt in mug.given] == [0, 5]
    assert (mug.given[0].box, mug.name) == ((1, 2, 8, 9), "mug")
    assert dot.given[0].clicks == ((3, 4, True), (5, 6, True))


def test_shapes_on_pictures_are_objects_of_their_frame():
    mug, hole = cvat_objects(ElementTree.fromstring(IMAGES), "cup.xml")["cup"]

    assert mug.given[0].frame == 12
    mask_hw = rle.decode(rle.from_coco(hole.given[0].segmentation))
    assert mask_hw.shape == (10, 20)
    assert [tuple(pixel) for pixel in zip(*mask_hw.nonzero(), strict=True)] == [(1, 3), (1, 4)]


def test_tracks_without_the_name_of_their_video_are_refused():
    text = TRACKS.replace("<source>cup.mp4</source>", "")

    with pytest.raises(DataError, match=r"cup\.xml does not name its video"):
        cvat_objects(ElementTree.fromstring(text), "cup.xml")


def test_pictures_without_a_number_are_counted_in_each_video():
    shape = f'<box label="mug" {BOX}/>'
    names = ("cup/a.jpg", "dog/a.jpg", "cup/b.jpg", "dog/b.jpg")
    images = "".join(
        f'<image name="{name}" width="20" height="10">{shape}</image>' for name in names
    )

    found = cvat_objects(ElementTree.fromstring(f"<annotations>{images}</annotations>"), "all.xml")

    frames = {video: [item.given[0].frame for item in objects] for video, objects in found.items()}
    assert frames == {"cup": [0, 1], "dog": [0, 1]}


MASK = '<mask frame="3" left="2" top="1" width="3" height="2" rle="{runs}"/>'
SIZE = "<original_size><width>20</width><height>10</height></original_size>"


def mask_track(size=SIZE, runs="1,2,3", place="task"):
    about = f"<meta><{place}>{size}<source>cup.mp4</source></{place}></meta>"
    track = f'<track label="hole">{MASK.format(runs=runs)}</track>'
    return ElementTree.fromstring(f"<annotations>{about}{track}</annotations>")


@pytest.mark.parametrize("place", ["task", "job"])
def test_masks_of_tracks_have_the_size_that_the_file_says(place):
    ((hole,),) = cvat_objects(mask_track(place=place), "cup.xml").values()

    mask_hw = rle.decode(rle.from_coco(hole.given[0].segmentation))
    assert hole.given[0].frame == 3
    assert mask_hw.shape == (10, 20)
    assert [tuple(pixel) for pixel in zip(*mask_hw.nonzero(), strict=True)] == [(1, 3), (1, 4)]


def test_masks_without_a_size_and_those_that_do_not_fit_are_told_apart():
    with pytest.raises(DataError, match=r"not the size of the frames \(meta/task/original_size\)"):
        cvat_objects(mask_track(size=""), "cup.xml")
    with pytest.raises(DataError, match="has 7 pixels in a box of 3x2"):
        cvat_objects(mask_track(runs="1,2,4"), "cup.xml")
