"""Opening a set of videos: from the folder it was unpacked in, a table, or the Hub."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets

from sam2_hf.errors import DataError

from .labeled_video import LabeledVideo
from .listed_names import require_known, require_plain, require_unique
from .set_folders import read_folder
from .set_rules import SetRules, find_rules
from .video_rows import VideoRow, make_table, require_consistent, require_kinds, with_all_columns

CHECKED = ["video", "frame_names", "annotated", "object_ids", "first_frames"]
LIGHT = [*CHECKED, "object_runs"]
NEEDED = ("video", "frames", "frame_names", "annotated", "label_maps", "object_ids", "first_frames")
HASH_DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class VideoSet:
    """A data set of videos.

    Attributes:
        rules: How it is given and scored.
        table: Its videos, with the columns of `VideoRow`.
    """

    rules: SetRules
    table: datasets.Dataset

    def __post_init__(self) -> None:
        """Refuse names that would get results mixed up, and rows that contradict themselves."""
        require_plain(self.names, self.rules.name)
        require_unique(self.names, self.rules.name)
        for row in self.table.select_columns(CHECKED):
            require_consistent(row)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> list[str]:
        """Ids of all videos."""
        return list(self.table["video"])

    def unseen(self) -> dict[str, bool]:
        """Tell which videos are of unseen kinds; those of which nothing is known are left out."""
        listed = self.table.select_columns(["video", "unseen"])
        return {row["video"]: row["unseen"] for row in listed if row["unseen"] is not None}

    def fingerprint(self) -> str:
        """Tell sets apart that differ in videos, objects, frames or the sizes of mask files."""
        digest = hashlib.sha256()
        for row in self.table.select_columns(LIGHT):
            digest.update(json.dumps(row).encode())
        for row in self.table.select_columns("label_maps"):
            digest.update(json.dumps([_size(one) for one in row["label_maps"]]).encode())
        return f"{len(self)} videos {digest.hexdigest()[:HASH_DIGITS]}"

    def objects(self) -> list[tuple[str, list[int], int]]:
        """Give id, given objects and number of frames of each video, without reading pictures."""
        listed = self.table.select_columns(["video", "frame_names", "object_ids"])
        return [(row["video"], row["object_ids"], len(row["frame_names"])) for row in listed]

    def __getitem__(self, index: int) -> LabeledVideo:
        return LabeledVideo(VideoRow.from_columns(self.table[index]), self.rules)

    def __iter__(self) -> Iterator[LabeledVideo]:
        return (self[index] for index in range(len(self)))


def open_set(name: str, root: str, only: Sequence[str] = ()) -> VideoSet:
    """Open a data set.

    Args:
        name: Which, such as "davis17-val".
        root: Folder it was unpacked in, `.parquet` file or folder of such files, or id on the Hub.
        only: Ids of videos to take; all if empty.

    Raises:
        DataError: There is no such set, something of it is missing, or the table is another one.
    """
    rules = find_rules(name)
    path = Path(root).expanduser()
    if path.is_dir() and not list(path.glob("*.parquet")):
        return VideoSet(rules, make_table(read_folder(rules, path, only)))
    table = _open_table(root, path)
    _require_columns(table, rules, root)
    names = list(table["video"])
    require_known(only, names, f"{name} in {root}")
    if only:
        table = table.select([at for at, video in enumerate(names) if video in only])
    if not len(table):
        raise DataError(f"{root} has no video in it. Make the table of a set that has.")
    return VideoSet(rules, with_all_columns(table))


def _require_columns(table: datasets.Dataset, rules: SetRules, root: str) -> None:
    """Refuse a table that is not one of videos, or whose masks are of another kind of set."""
    names = table.column_names
    if missing := [name for name in NEEDED if name not in names]:
        raise DataError(
            f"{root} has no column {missing[0]!r}, only {', '.join(sorted(names))}. A set of "
            f"videos has the columns {', '.join(NEEDED)}, and may have others."
        )
    require_kinds(table, root)
    first = table[0] if len(table) else {}
    if rules.per_object and first.get("label_maps"):
        raise DataError(
            f"{root} has label maps, in which objects cannot overlap, but those of {rules.name} "
            "can. Choose another set, such as folder."
        )
    if not rules.per_object and first and not first.get("label_maps"):
        raise DataError(
            f"{root} has no label maps, so its objects may overlap, but those of {rules.name} do "
            "not. Choose another set, such as sav-val."
        )


def _open_table(root: str, path: Path) -> datasets.Dataset:
    try:
        if path.is_dir() or path.suffix == ".parquet":
            files = (
                [str(one) for one in sorted(path.glob("*.parquet"))]
                if path.is_dir()
                else [str(path)]
            )
            return datasets.Dataset.from_parquet(files)
        return datasets.load_dataset(root, split="train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{root} is neither a folder nor a table that can be opened ({error}). Give the folder "
            "the data set was unpacked in, a .parquet file, or the id of a data set on the Hub."
        ) from error


def _size(stored: dict[str, Any]) -> int:
    """Measure a stored file; 0 where it is not there."""
    if stored["bytes"]:
        return len(stored["bytes"])
    path = Path(stored["path"])
    return path.stat().st_size if path.is_file() else 0
