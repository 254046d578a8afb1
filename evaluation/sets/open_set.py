"""Opening of a video set: from its unpacked folder, a table, or the Hub."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import datasets

from sam2_hf.data.hub import is_saved_table, read_table
from sam2_hf.data.rows import (
    EARLIER_MASKS,
    SHORT_COLUMNS,
    VideoRow,
    column_kinds,
    make_table,
    present_names,
)
from sam2_hf.errors import DataError

from .given_objects import require_consistent, with_given_objects
from .labeled_video import LabeledVideo
from .listed_names import require_known, require_plain, require_unique
from .set_folders import read_folder
from .set_rules import NO_OPTIONS, SETS, SetRules, find_rules

CHECKED = ("name", "frame_names", "annotated", "object_ids", "first_frames")
PICTURES = ("images", "image", "video")
ANNOTATIONS = ("label_maps", "label_map", "masks", "segments", "segments_file", *EARLIER_MASKS)
HASH_DIGITS = 16


@dataclass(frozen=True, slots=True, eq=False)
class VideoSet:
    """A data set of videos.

    Attributes:
        rules: Its rules of prompting and scoring.
        table: Its videos, with the columns of `VideoRow`, those of `CHECKED` among them.
    """

    rules: SetRules
    table: datasets.Dataset

    def __post_init__(self) -> None:
        """Refuse names whose results would collide, and inconsistent rows."""
        require_plain(self.names, self.rules.name)
        require_unique(self.names, self.rules.name)
        for row in self._columns(*CHECKED):
            require_consistent(row)

    def __len__(self) -> int:
        return len(self.table)

    @property
    def names(self) -> list[str]:
        """Ids of all videos."""
        return list(self.table["name"])

    def unseen(self) -> dict[str, bool]:
        """Return whether videos are of unseen categories, without unknown ones."""
        listed = self._columns("name", "unseen")
        return {row["name"]: row["unseen"] for row in listed if row.get("unseen") is not None}

    def fingerprint(self) -> str:
        """Hash videos, objects, frames and the sizes of mask files."""
        digest = hashlib.sha256()
        for row in self._columns(*CHECKED, "segments", "object_runs"):
            light = {("video" if name == "name" else name): row[name] for name in CHECKED}
            runs = row.get("segments") or row.get("object_runs") or []
            digest.update(json.dumps({**light, "object_runs": runs}).encode())
        for row in self._columns("name", "label_maps", "label_map"):
            maps = row.get("label_maps") or ([row["label_map"]] if "label_map" in row else [])
            digest.update(json.dumps([_size(stored) for stored in maps]).encode())
        return f"{len(self)} videos {digest.hexdigest()[:HASH_DIGITS]}"

    def objects(self) -> list[tuple[str, list[int], int]]:
        """Return id, prompted objects and number of frames of each video; pictures stay unread."""
        listed = self._columns("name", "frame_names", "object_ids")
        return [(row["name"], row["object_ids"], len(row["frame_names"])) for row in listed]

    def __getitem__(self, index: int) -> LabeledVideo:
        return LabeledVideo(_row(self.table, index), self.rules)

    def __iter__(self) -> Iterator[LabeledVideo]:
        return (self[index] for index in range(len(self)))

    def _columns(self, *names: str) -> Iterator[dict[str, Any]]:
        """Read the existing ones of some columns for each row, without reading files."""
        there = [name for name in names if name in self.table.column_names]
        for part in self.table.select_columns(there).with_format("arrow"):
            yield from part.to_pylist()


def open_set(
    name: str,
    root: str,
    only: Sequence[str] = (),
    options: Mapping[str, object] = NO_OPTIONS,
) -> VideoSet:
    """Open a data set.

    Args:
        name: Such as "davis17-val", or a kind of the training reader, such as "davis".
        root: Unpacked folder, `.parquet` file or folder of such files, folder of a table saved with
            `datasets`, or id on the Hub.
        only: Ids of videos; all if empty.
        options: Options of the reader, by name, as in a training config.

    Raises:
        DataError: There is no such set or option, a part is missing, or the table does not match.
    """
    rules = find_rules(name)
    path = Path(root).expanduser()
    if path.exists() and not _holds_table(path):
        table = make_table(read_folder(rules, path, only, options))
    else:
        if options:
            raise DataError(f"{root} is a table, which has no options: {', '.join(options)}.")
        table = _chosen(_open_table(root, path), root, only, f"{name} in {root}")
    first = _row(table, 0)
    if name not in SETS:  # custom data follow their masks
        rules = replace(rules, per_object=not first.label_maps)
    _require_masks(first, rules, root)
    return VideoSet(rules, _with_given_objects(table, rules))


def _holds_table(path: Path) -> bool:
    if path.is_dir():
        return is_saved_table(path) or any(path.glob("*.parquet"))
    return path.suffix == ".parquet"


def _row(table: datasets.Dataset, index: int) -> VideoRow:
    """Read a row; pictures in it stay undecoded."""
    return VideoRow.from_columns(table.with_format("arrow")[index].to_pylist()[0])


def _chosen(
    table: datasets.Dataset, root: str, only: Sequence[str], place: str
) -> datasets.Dataset:
    """Check the columns of a table, and select rows."""
    table = table.rename_columns(present_names(table.column_names))
    for needed in (PICTURES, ANNOTATIONS):
        if not set(needed) & set(table.column_names):
            raise DataError(
                f"{root} has no column {needed[0]!r}, nor one of {', '.join(needed[1:])}, only "
                f"{', '.join(sorted(table.column_names))}. See sam2_hf.data.rows."
            )
    _require_kinds(table, root)
    if "name" not in table.column_names:
        table = table.add_column("name", [f"row {number}" for number in range(len(table))])
    names = list(table["name"])
    require_known(only, names, place)
    if only:
        table = table.select([at for at, video in enumerate(names) if video in only])
    if not len(table):
        raise DataError(f"{root} has no video in it. Make the table of a set that has.")
    return table


def _with_given_objects(table: datasets.Dataset, rules: SetRules) -> datasets.Dataset:
    """Fill in the columns that tables for training lack."""
    if set(CHECKED) <= set(table.column_names):
        return table
    rows = [with_given_objects(_row(table, index), rules) for index in range(len(table))]
    names = ("masks", "segments", "size")
    masks = [name for name in names if any(getattr(row, name) for row in rows)]
    filled = [*CHECKED, *masks]
    light = make_table([VideoRow(**{name: getattr(row, name) for name in filled}) for row in rows])
    dropped = {*filled, "segments_file", *EARLIER_MASKS}
    kept = [name for name in table.column_names if name not in dropped]
    if not kept:
        return light
    return datasets.concatenate_datasets([table.select_columns(kept), light], axis=1)


def _require_kinds(table: datasets.Dataset, place: str) -> None:
    """Refuse a table whose columns have wrong types.

    Raises:
        DataError: A column has.
    """
    kinds = column_kinds()
    picture, text = kinds["images"].feature, datasets.Value("string")
    short = dict.fromkeys(SHORT_COLUMNS, picture)
    of_objects = [datasets.List(datasets.List(kind)) for kind in (picture, text)]
    earlier = dict(zip(EARLIER_MASKS, of_objects, strict=True))
    for name, wanted in (kinds | short | earlier).items():
        found = table.features.get(name)
        one_each = name == "label_maps" and _fits(found, datasets.List(picture))
        if found is not None and not one_each and not _fits(found, wanted):
            raise DataError(
                f"the column {name} of {place} holds {str(found)[:100]}, not {str(wanted)[:100]}. "
                "Create the table of the data set again."
            )


def _fits(found: Any, wanted: Any) -> bool:  # noqa: ANN401 - features of `datasets`
    """Whether a column can be read as another type; an empty one fits all."""
    if found == datasets.Value("null"):
        return True
    if isinstance(wanted, datasets.List):
        is_list = isinstance(found, datasets.List | datasets.LargeList)
        return is_list and _fits(found.feature, wanted.feature)
    if not isinstance(wanted, datasets.Value):  # a picture or a video, or its path or bytes
        is_stored = isinstance(found, dict) and set(found) == {"bytes", "path"}
        plain = ("string", "large_string", *(["binary"] if type(wanted) is datasets.Image else []))
        is_plain = isinstance(found, datasets.Value) and found.dtype in plain
        return is_stored or is_plain or type(found) is type(wanted)
    kinds = {"int32": ("int", "uint"), "string": ("string", "large_string"), "bool": ("bool",)}
    return isinstance(found, datasets.Value) and found.dtype.startswith(kinds[wanted.dtype])


def _require_masks(row: VideoRow, rules: SetRules, root: str) -> None:
    """Refuse a table whose masks are of another kind of set."""
    if rules.per_object and row.label_maps:
        raise DataError(
            f"{root} has label maps, in which objects cannot overlap, but those of {rules.name} "
            "can. Choose another set, such as folder."
        )
    if not rules.per_object and not row.label_maps:
        raise DataError(
            f"{root} has no label maps, so its objects may overlap, but those of {rules.name} do "
            "not. Choose another set, such as sav-val."
        )


def _open_table(root: str, path: Path) -> datasets.Dataset:
    try:
        if path.is_dir() and not is_saved_table(path):
            files = [str(file) for file in sorted(path.glob("*.parquet"))]
            return datasets.Dataset.from_parquet(files)
        return read_table(root, "train")
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise DataError(
            f"{root} is neither a folder nor a table that can be opened ({error}). Give the folder "
            "the data set was unpacked in, a .parquet file, or the id of a data set on the Hub."
        ) from error


def _size(stored: Any) -> int:  # noqa: ANN401 - what a table holds
    """Return the size of a stored file, or of the first in a list; 0 if missing."""
    if isinstance(stored, list):
        return _size(stored[0]) if stored else 0
    stored = stored if isinstance(stored, dict) else {"bytes": None, "path": stored}
    if stored["bytes"]:
        return len(stored["bytes"])
    path = Path(stored["path"])
    return path.stat().st_size if path.is_file() else 0
