"""Files of prompts: known forms, damage, and the videos they name."""

import json

import numpy as np
import pytest

from sam2_hf import rle
from sam2_hf.engine.prompts.given_objects import GivenObject, GivenPrompt
from sam2_hf.engine.prompts.prompt_files import match_prompts, read_prompts
from sam2_hf.engine.video_queue import QueuedVideo
from sam2_hf.errors import DataError
from sam2_hf.writers.mask_png import write_label_png
from tests.engine.clips import square

CUP = [GivenObject((GivenPrompt(0, ((1.0, 1.0, True),)),))]


def queue(*addresses):
    return [QueuedVideo.at(address, address.rpartition("/")[2]) for address in addresses]


def test_a_folder_of_masks_gives_the_first_mask_of_each_object(tmp_path):
    for frame in range(1, 3):
        masks = {1: square(0, frame), 7: square(3, 0) if frame == 2 else np.zeros((24, 32), bool)}
        write_label_png(tmp_path / f"cup/{frame:05d}.png", masks, (24, 32))

    ((first, second),) = read_prompts(tmp_path).values()

    assert [first.given[0].frame, second.given[0].frame] == [1, 2]
    mask_hw = rle.decode(rle.from_coco(first.given[0].segmentation))
    assert (mask_hw == square(0, 1)).all()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "{}",
        '{"images": 3, "annotations": []}',
        '{"videos": [], "annotations": [{"bboxes": [[1, 2, 3, 4]]}]}',
    ],
)
def test_files_of_other_forms_are_refused(text, tmp_path):
    path = tmp_path / "prompts.json"
    path.write_text(text)

    with pytest.raises(DataError, match=r"prompts\.json"):
        read_prompts(path)


def test_broken_xml_is_refused(tmp_path):
    path = tmp_path / "prompts.xml"
    path.write_text("<annotations><track>")

    with pytest.raises(DataError, match="COCO JSON of frames"):
        read_prompts(path)


def test_videos_are_matched_by_name_stem_and_address():
    videos = queue("/a/cup.mp4", "/a/dog.mp4", "/a/clip")
    prompts = {"cup.mp4": CUP, "train/dog": CUP, "/a/clip": CUP}

    found, problems = match_prompts(prompts, videos)

    assert sorted(found) == sorted(video.id for video in videos)
    assert not problems


def test_prompts_for_a_video_that_is_not_there_or_not_clear_are_named():
    found, problems = match_prompts(
        {"cop.mp4": CUP, "dog.mp4": CUP}, queue("/a/cup.mp4", "/a/dog.mp4", "/b/dog.mp4")
    )

    assert not found
    assert "cop.mp4, which is not in the queue. Did you mean cup.mp4?" in problems["cop.mp4"]
    assert "fit several videos: /a/dog.mp4, /b/dog.mp4" in problems["dog.mp4"]


PICTURES = ("00001.png", "00006.png", "00011.png")  # numbered from 1, every fifth


@pytest.fixture
def sparse(tmp_path):
    """A queue of a folder with pictures of those names."""
    folder = tmp_path / "clips/cup"
    folder.mkdir(parents=True)
    for name in PICTURES:
        (folder / name).touch()
    return queue(str(folder))


def prompts_for(stem, kind, tmp_path):
    """A file, or folder, with one object on a picture."""
    if kind == "masks":
        write_label_png(tmp_path / f"masks/cup/{stem}.png", {1: square(0, 0)}, (24, 32))
        return tmp_path / "masks"
    path = tmp_path / f"prompts.{kind}"
    if kind == "json":
        annotation = {"id": 1, "image_id": 1, "bbox": [1, 2, 3, 4]}
        images = [{"id": 1, "file_name": f"cup/{stem}.jpg"}]
        path.write_text(json.dumps({"images": images, "annotations": [annotation]}))
    else:
        box = '<box label="mug" xtl="1" ytl="2" xbr="8" ybr="9"/>'
        image = f'<image name="cup/{stem}.jpg" width="32" height="24">{box}</image>'
        path.write_text(f"<annotations>{image}</annotations>")
    return path


@pytest.mark.parametrize("kind", ["json", "xml", "masks"])
def test_a_prompt_is_for_the_picture_of_its_name_in_a_folder(kind, sparse, tmp_path):
    prompts = read_prompts(prompts_for("00006", kind, tmp_path))

    found, problems = match_prompts(prompts, sparse)

    ((item,),) = found.values()
    assert [prompt.frame for prompt in item.given] == [1]
    assert not problems


@pytest.mark.parametrize("kind", ["json", "xml", "masks"])
def test_a_prompt_for_a_frame_of_a_video_file_is_numbered_by_its_name(kind, tmp_path):
    prompts = read_prompts(prompts_for("00006", kind, tmp_path))

    found, _ = match_prompts(prompts, queue("/a/cup.mp4"))

    ((item,),) = found.values()
    assert [prompt.frame for prompt in item.given] == [6]


def test_a_prompt_for_a_picture_that_is_not_there_is_named(sparse, tmp_path):
    prompts = read_prompts(prompts_for("00000", "json", tmp_path))

    found, problems = match_prompts(prompts, sparse)

    assert not found
    assert "picture 00000, which is not in" in problems["cup"]
    assert "3 pictures are 00001.png to 00011.png" in problems["cup"]
