"""Small data sets of videos, in the folders of the real ones."""

import json
from pathlib import Path

import av
import numpy as np
from PIL import Image

from sam2_hf import rle

SIZE = (24, 36)
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def boxes(frame, numbers=(1, 2)):
    """Draw the numbers as boxes that move a pixel a frame."""
    labels_hw = np.zeros(SIZE, np.uint8)
    for place, number in enumerate(numbers):
        left = 2 + 14 * place + frame
        labels_hw[4:14, left : left + 9] = number
    return labels_hw


def write_frame(path, labels_hw):
    """Write a picture in which objects are brighter than the background."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gray_hw = 40 + 90 * np.minimum(labels_hw, 2)
    Image.fromarray(np.stack([gray_hw] * 3, axis=-1).astype(np.uint8)).save(path, quality=95)


def write_labels(path, labels_hw):
    """Write a palette PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(labels_hw.astype(np.uint8), mode="P")
    picture.putpalette(PALETTE)
    picture.save(path)


def write_davis(root, videos=("cat", "dog"), frames=5, scale=1, folder="480p"):
    """Write DAVIS 2017; `scale=255` makes it 2016."""
    for video in videos:
        for frame in range(frames):
            labels_hw = boxes(frame)
            write_frame(root / "JPEGImages" / folder / video / f"{frame:05d}.jpg", labels_hw)
            shown_hw = labels_hw if scale == 1 else (labels_hw > 0) * scale
            write_labels(root / "Annotations" / folder / video / f"{frame:05d}.png", shown_hw)
    for year in (2016, 2017):
        listing = root / "ImageSets" / str(year) / "val.txt"
        listing.parent.mkdir(parents=True, exist_ok=True)
        listing.write_text("\n".join(videos) + "\n")
    return root


def write_sav(root, frames=9, every=4):
    """Write SA-V's val: all frames, and masks of each object on some, which overlap."""
    for frame in range(frames):
        write_frame(root / "JPEGImages_24fps" / "sav_1" / f"{frame:05d}.jpg", boxes(frame))
    for frame in range(0, frames, every):
        for number in (0, 1):
            mask_hw = boxes(frame) > 0 if number else boxes(frame) == 1
            write_labels(_sav_mask(root, number, frame), mask_hw)
    Path(root / "sav_val.txt").write_text("sav_1\n")
    return root


def write_masklets(root, frames=13, every=4, first=4, as_video=True):
    """Write a video of SA-V's training set with its JSON file; object 1 appears on frame `first`.

    Of object 2 nothing is known on the last annotated frame.
    """
    root.mkdir(parents=True, exist_ok=True)
    if as_video:
        _write_video(root / "sav_1.mp4", frames)
    else:
        for frame in range(frames):
            write_frame(root / "sav_1" / f"{frame:05d}.jpg", boxes(frame))
    annotated = range(0, frames, every)
    masklet = []
    for frame in annotated:
        labels_hw = boxes(frame)
        masks = [labels_hw == 1, (labels_hw == 2) & (frame >= first), labels_hw > 0]
        runs = [rle.to_coco(rle.encode(mask_hw)) for mask_hw in masks]
        masklet.append([*runs[:2], None if frame == annotated[-1] else runs[2]])
    (root / "sav_1_manual.json").write_text(json.dumps({"masklet": masklet}))
    return root


def _write_video(path, frames):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=24)
        stream.width, stream.height, stream.pix_fmt = SIZE[1], SIZE[0], "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in range(frames):
            gray_hw = (40 + 90 * np.minimum(boxes(frame), 2)).astype(np.uint8)
            picture = np.stack([gray_hw] * 3, axis=-1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())


def write_late(root, split="valid", first=3):
    """Write a set in which the object 2 comes later, with masks on every third frame."""
    for frame in range(9):
        labels_hw = boxes(frame, (1, 2) if frame >= first else (1,))
        write_frame(root / split / "JPEGImages" / "owl" / f"{frame:05d}.jpg", labels_hw)
        if frame % 3 == 0:
            write_labels(root / split / "Annotations" / "owl" / f"{frame:05d}.png", labels_hw)
    return root


def write_lvos(root, videos=("owl",), unseen=(), frames=26, first=10):
    """Write LVOS, with masks on every fifth frame; object 2 counts from frame `first` on."""
    for video in videos:
        for frame in range(frames):
            labels_hw = boxes(frame % 4, (1, 2) if frame >= first else (1,))
            write_frame(root / "JPEGImages" / video / f"{frame:08d}.jpg", labels_hw)
            if frame % 5 == 0:
                write_labels(root / "Annotations" / video / f"{frame:08d}.png", labels_hw)
    ranges = {
        number: {"frame_range": {"start": f"{start:08d}", "end": f"{frames:08d}"}}
        for number, start in (("1", 0), ("2", first))
    }
    meta = {"videos": {video: {"objects": ranges} for video in videos}}
    (root / "valid_meta.json").write_text(json.dumps(meta))
    if unseen:
        (root / "unseen_videos.txt").write_text("\n".join(unseen) + "\n")
    return root


def _sav_mask(root, number, frame):
    return root / "Annotations_6fps" / "sav_1" / f"{number:03d}" / f"{frame:05d}.png"
