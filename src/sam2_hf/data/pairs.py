"""Photos with label maps: plain pairs of files, with one or several annotators."""

from collections import defaultdict
from pathlib import Path

from .config import SourceConfig
from .folders import (
    check_options,
    folder_names,
    picture_names,
    source_folder,
    text_option,
    wrong_layout,
)
from .rows import VideoRow

EXPECTED = (
    "The kind pairs expects photos NAME.jpg and label maps NAME.png beside them, or NAME.0.png, "
    "NAME.1.png, ... by several annotators; or photos in images/ and label maps in masks/ (the "
    "options images and masks name other folders). A label map has a whole number per pixel, 0 for "
    "the background."
)
MASK_ENDING = ".png"


def read_pairs(config: SourceConfig) -> list[VideoRow]:
    """List the photos of a folder that have at least one label map.

    Options: `images` and `masks`, the folders of both below the path.

    Raises:
        DataError: There is no such folder, or no photo with a label map.
    """
    check_options(config, ("images", "masks"))
    root = source_folder(config, EXPECTED)
    folders = _folders(config, root)
    maps = _maps_by_name(folders[1])
    same = folders[0] == folders[1]
    rows = []
    for name in picture_names(folders[0]):
        stem, ending = name.rsplit(".", 1)
        is_map = same and f".{ending.lower()}" == MASK_ENDING
        if not is_map and maps.get(stem):
            paths = [str(folders[1] / file) for file in maps[stem]]
            rows.append(VideoRow(stem, images=[str(folders[0] / name)], label_maps=[paths]))
    if not rows:
        found = len(picture_names(folders[0]))
        raise wrong_layout(
            config, f"none of {found} picture(s) in {folders[0]} has a label map", EXPECTED
        )
    return rows


def _folders(config: SourceConfig, root: Path) -> tuple[Path, Path]:
    """Find the folders of photos and label maps."""
    names = folder_names(root)
    images = text_option(config, "images", "images" if "images" in names else ".")
    masks = text_option(config, "masks", "masks" if "masks" in names else ".")
    folders = root / images, root / masks
    for folder in folders:
        if not folder.is_dir():
            raise wrong_layout(config, f"there is no folder {folder}", EXPECTED)
    return folders


def _maps_by_name(folder: Path) -> dict[str, list[str]]:
    """Find the label maps of each photo: NAME.png, and NAME.k.png with a number k."""
    found: dict[str, list[str]] = defaultdict(list)
    for name in picture_names(folder):
        if not name.lower().endswith(MASK_ENDING):
            continue
        stem = name[: -len(MASK_ENDING)]
        found[stem].append(name)
        photo, dot, number = stem.rpartition(".")
        if dot and number.isdecimal():
            found[photo].append(name)
    return found
