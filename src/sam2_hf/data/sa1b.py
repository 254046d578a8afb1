"""SA-1B: photos, each with a JSON file of its masks."""

from collections.abc import Iterator
from pathlib import Path

from .config import SourceConfig
from .folders import (
    check_options,
    file_names,
    folder_names,
    source_folder,
    text_option,
    wrong_layout,
)
from .rows import VideoRow

EXPECTED = (
    "The kind sa1b expects photos sa_1.jpg and their masks sa_1.json beside them, also in folders "
    "below; the option annotations names a folder of its own for the masks."
)


def read_sa1b(config: SourceConfig) -> list[VideoRow]:
    """List the photos that have a file of masks.

    Options: `annotations`, the folder of the JSON files below the path.

    Raises:
        DataError: There is no such folder, or no photo with masks.
    """
    check_options(config, ("annotations",))
    root = source_folder(config, EXPECTED)
    named = text_option(config, "annotations", "")
    masks = root / named if named else None
    if masks is not None and not masks.is_dir():
        raise wrong_layout(config, f"there is no folder {masks}", EXPECTED)
    rows = list(_rows(root, masks))
    if not rows:
        raise wrong_layout(config, "no photo NAME.jpg in it has a file NAME.json", EXPECTED)
    return rows


def _rows(folder: Path, masks: Path | None) -> Iterator[VideoRow]:
    names = file_names(folder)
    files = set(names if masks is None else file_names(masks))
    for name in names:
        photo = Path(name)
        if photo.suffix.lower() in (".jpg", ".jpeg") and f"{photo.stem}.json" in files:
            segments_file = (masks or folder) / f"{photo.stem}.json"
            yield VideoRow(
                photo.stem, images=[str(folder / name)], segments_file=str(segments_file)
            )
    for name in folder_names(folder):
        if folder / name != masks:
            yield from _rows(folder / name, masks)
