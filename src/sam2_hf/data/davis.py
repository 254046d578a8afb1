"""Videos as folders of JPEGs with label maps beside them: DAVIS, MOSE, YouTube-VOS, SA-V's val."""

from pathlib import Path
from typing import TYPE_CHECKING

from .config import SourceConfig
from .filters import list_names, select_rows
from .folders import (
    check_options,
    folder_names,
    picture_names,
    source_folder,
    text_option,
    wrong_layout,
)
from .rows import ClipRow, make_table

if TYPE_CHECKING:
    import datasets

EXPECTED = (
    "The kind davis expects JPEGImages/SEQUENCE/00000.jpg, ... and Annotations/SEQUENCE/00000.png, "
    "... or the same with a folder for the resolution before SEQUENCE (the option resolution "
    "names one of several), where a PNG has a number per pixel, 0 for the background. One folder "
    "per object, Annotations/SEQUENCE/000/00000.png, is read too."
)
IMAGES, MASKS = "JPEGImages", "Annotations"
USUAL = "480p"


def read_davis(config: SourceConfig) -> "datasets.Dataset":
    """List the sequences that have annotated frames.

    Options: `resolution`, the folder between JPEGImages and the sequences.

    Raises:
        DataError: There is no such folder, or nothing in it fits.
    """
    check_options(config, ("resolution",))
    root = source_folder(config, EXPECTED)
    images, masks = _folders(config, root)
    names = [name for name in folder_names(images) if (masks / name).is_dir()]
    rows = [row for name in names if (row := _row(name, images / name, masks / name))]
    if not rows:
        raise wrong_layout(
            config, f"no sequence of {images} has annotated frames in {masks}", EXPECTED
        )
    return make_table(select_rows(rows, config))


def _row(name: str, images: Path, masks: Path) -> ClipRow | None:
    """List the annotated frames of a sequence; None if there are none."""
    pictures = {Path(one).stem: str(images / one) for one in picture_names(images)}
    objects = folder_names(masks)
    if objects:
        return _row_per_object(name, pictures, [masks / one for one in objects])
    maps = {Path(one).stem: str(masks / one) for one in picture_names(masks)}
    stems = [stem for stem in pictures if stem in maps]
    if not stems:
        return None
    return ClipRow(
        name,
        images=[pictures[stem] for stem in stems],
        label_maps=[[maps[stem]] for stem in stems],
    )


def _row_per_object(name: str, pictures: dict[str, str], folders: list[Path]) -> ClipRow | None:
    listed = [{Path(one).stem for one in picture_names(folder)} for folder in folders]
    stems = [stem for stem in pictures if any(stem in there for there in listed)]
    if not stems:
        return None
    pairs = list(zip(folders, listed, strict=True))
    masks = [
        [str(folder / f"{stem}.png") if stem in there else "" for folder, there in pairs]
        for stem in stems
    ]
    return ClipRow(name, images=[pictures[stem] for stem in stems], masks=masks)


def _folders(config: SourceConfig, root: Path) -> tuple[Path, Path]:
    """Find the folders in which the sequences lie, e.g. JPEGImages/480p and Annotations/480p."""
    images, masks = (_top(config, root, name) for name in (IMAGES, MASKS))
    below = folder_names(images)
    if not below:
        raise wrong_layout(config, f"{images} has no folders in it", EXPECTED)
    resolution = text_option(config, "resolution", "")
    if not resolution:
        if picture_names(images / below[0]):
            return images, masks
        resolution = USUAL if USUAL in below else below[0]
    for top in (images, masks):
        if resolution not in folder_names(top):
            names = list_names(folder_names(top))
            raise wrong_layout(config, f"there is no {resolution} in {top}, but {names}", EXPECTED)
    return images / resolution, masks / resolution


def _top(config: SourceConfig, root: Path, name: str) -> Path:
    """Find JPEGImages, or the like of JPEGImages_24fps."""
    found = [one for one in folder_names(root) if one == name or one.startswith(f"{name}_")]
    if not found:
        raise wrong_layout(config, f"there is no folder {name} in {root}", EXPECTED)
    return root / found[0]
