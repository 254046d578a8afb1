"""The files that the pages, the examples and the notebooks speak of."""

import shutil

import numpy as np
from PIL import Image
from skimage import data

from evaluation.demo_clip import FPS, demo_clip
from sam2_hf.writers.mask_png import write_label_png
from sam2_hf.writers.mp4 import video_writer

NUM_FRAMES = 6


def labeled_clip():
    """The first frames of the demo's clip, and the label map of each."""
    frames, masks = demo_clip()
    labels = sum(np.where(masks[number][:NUM_FRAMES], number, 0) for number in masks)
    return frames[:NUM_FRAMES], labels.astype(np.uint8)


def write_files(folder):
    """Write a photo, a clip, a folder of photos, masks to train on, and a set of videos."""
    Image.fromarray(data.coffee()).save(folder / "coffee.jpg", quality=95)
    (folder / "photos").mkdir()
    for name in ("morning", "noon"):
        shutil.copyfile(folder / "coffee.jpg", folder / f"photos/{name}.jpg")
    frames, labels = labeled_clip()
    with video_writer(folder / "clip.mp4", fps=FPS) as writer:
        for frame in frames:
            writer.write(frame)
    write_pairs(folder / "masks/train", frames[:2], labels[:2])
    write_pairs(folder / "masks/val", frames[2:3], labels[2:3])
    write_video(folder / "davis", frames[:3], labels[:3])
    return folder


def write_pairs(folder, frames, labels):
    folder.mkdir(parents=True)
    for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        Image.fromarray(frame).save(folder / f"{number:04d}.jpg")
        Image.fromarray(label).save(folder / f"{number:04d}.png")


def write_video(root, frames, labels):
    for folder in ("JPEGImages", "Annotations"):
        (root / folder / "cup").mkdir(parents=True)
    for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        Image.fromarray(frame).save(root / f"JPEGImages/cup/{number:05d}.jpg")
        masks = {object_id: label == object_id for object_id in (1, 2)}
        write_label_png(root / f"Annotations/cup/{number:05d}.png", masks, label.shape)
