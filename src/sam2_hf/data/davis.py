"""Videos as folders of JPEGs with masks beside them: DAVIS, MOSE, YouTube-VOS, SA-V's val."""

from pathlib import Path

from .config import SourceConfig
from .filters import list_names
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
    "The kind davis expects JPEGImages/SEQUENCE/00000.jpg, ... and Annotations/SEQUENCE/00000.png, "
    "... or the same with a folder for the resolution before SEQUENCE (the option resolution "
    "names one of several), where a PNG has a number per pixel, 0 for the background. One folder "
    "per object, Annotations/SEQUENCE/000/00000.png, is read too."
)
IMAGES, MASKS = "JPEGImages", "Annotations"
USUAL = "480p"


def read_davis(config: SourceConfig) -> list[VideoRow]:
    """List the sequences that have annotated frames.

    Options: `resolution`, the folder between JPEGImages and the sequences.

    Raises:
        DataError: There is no such folder, or nothing in it fits.
    """
    check_options(config, ("resolution",))
    root = source_folder(config, EXPECTED)
    images, masks = _folders(config, root)
    names = [name for name in folder_names(images) if (masks / name).is_dir()]
    listed = [read_sequence(name, images / name, masks / name) for name in names]
    rows = [row for row in listed if row.annotated]
    if not rows:
        raise wrong_layout(
            config, f"no sequence of {images} has annotated frames in {masks}", EXPECTED
        )
    return rows


def read_sequence(
    name: str, images: Path, masks: Path, *, per_object: bool | None = None
) -> VideoRow:
    """List all frames of a sequence and the masks of annotated ones.

    Args:
        name: Name of the sequence.
        images: Folder of its frames, in natural order.
        masks: Folder with a label map for each annotated frame, named like the frame; or with a
            folder of masks for each object.
        per_object: Whether objects have folders; None detects it.

    Raises:
        DataError: A folder cannot be read.
    """
    pictures = _files_by_stem(images)
    objects = [] if per_object is False else folder_names(masks)
    # Object folders are numbered; other folders may lie beside them.
    objects = [folder for folder in objects if folder.isdecimal()] or objects
    files = [_files_by_stem(masks / folder) for folder in objects] or [_files_by_stem(masks)]
    annotated = [
        place for place, stem in enumerate(pictures) if any(stem in found for found in files)
    ]
    stems = list(pictures)
    found = [[by_stem.get(stems[place], "") for by_stem in files] for place in annotated]
    return VideoRow(
        name,
        images=list(pictures.values()),
        frame_names=stems,
        annotated=annotated,
        label_maps=[] if objects else found,
        masks=found if objects else [],
        object_ids=[int(folder) for folder in objects if folder.isdecimal()],
    )


def _files_by_stem(folder: Path) -> dict[str, str]:
    return {Path(name).stem: str(folder / name) for name in picture_names(folder)}


def _folders(config: SourceConfig, root: Path) -> tuple[Path, Path]:
    """Find the folders of the sequences, e.g. JPEGImages/480p and Annotations/480p."""
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
    """Find JPEGImages, or a variant such as JPEGImages_24fps."""
    found = [
        folder for folder in folder_names(root) if folder == name or folder.startswith(f"{name}_")
    ]
    if not found:
        raise wrong_layout(config, f"there is no folder {name} in {root}", EXPECTED)
    return root / found[0]
