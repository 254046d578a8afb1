"""SA-V: videos or folders of JPEG frames, each with a JSON file of masklets."""

from pathlib import Path

from .config import SourceConfig
from .folders import (
    check_options,
    number_option,
    picture_names,
    source_folder,
    text_option,
    wrong_layout,
)
from .rows import VideoRow

EXPECTED = (
    "The kind sav expects videos sav_1.mp4 and masklets sav_1_manual.json beside them, also in "
    "folders below; or instead of a video its frames at 24 a second, sav_1/00000.jpg, ..., also in "
    "JPEGImages_24fps/. The option annotations is manual or auto."
)
VIDEO_ENDINGS = (".mp4", ".webm", ".mov", ".mkv", ".avi")
FRAME_FOLDERS = (".", "JPEGImages_24fps", "../JPEGImages_24fps")


def read_sav(config: SourceConfig) -> list[VideoRow]:
    """List the videos that have masklets.

    Options: `annotations`, "manual" (the default) or "auto"; `every`, the distance between two
    annotated frames where the file does not state their rate (4: 6 of 24 frames a second).

    Raises:
        DataError: There is no such folder, or no video with masklets.
    """
    check_options(config, ("annotations", "every"))
    root = source_folder(config, EXPECTED)
    ending = f"_{text_option(config, 'annotations', 'manual')}.json"
    every = int(number_option(config, "every", 4))
    files = sorted(root.rglob(f"*{ending}"))
    rows = [row for path in files if (row := _row(root, path, ending, every))]
    if not rows:
        found = f"{len(files)} file(s) *{ending}, none with its video" if files else f"no *{ending}"
        raise wrong_layout(config, f"there is {found}", EXPECTED)
    return rows


def _row(root: Path, path: Path, ending: str, every: int) -> VideoRow | None:
    """Find the video of a file of masklets; None if it is missing."""
    name = path.name[: -len(ending)]
    for suffix in VIDEO_ENDINGS:
        video = path.with_name(name + suffix)
        if video.is_file():
            return VideoRow(name, video=str(video), segments_file=str(path), every=every)
    for place in (*(path.parent / folder for folder in FRAME_FOLDERS), root / FRAME_FOLDERS[1]):
        if (place / name).is_dir():
            frames = [str(place / name / file) for file in picture_names(place / name)]
            return VideoRow(name, images=frames, segments_file=str(path), every=every)
    return None
