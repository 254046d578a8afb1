"""Opening a set of videos: from the folder it was unpacked in, a table, or the Hub."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets

from sam2_hf.errors import DataError

from .labelled_video import LabelledVideo
from .listed_names import require_known
from .set_folders import read_folder
from .set_rules import SetRules, find_rules
from .video_rows import VideoRow, make_table


@dataclass(frozen=True, slots=True, eq=False)
class VideoSet:
    """A data set of videos.

    Attributes:
        rules: How it is given and scored.
        table: Its videos, with the columns of `VideoRow`.
    """

    rules: SetRules
    table: datasets.Dataset

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

    def objects(self) -> list[tuple[str, list[int], int]]:
        """Give id, given objects and number of frames of each video, without reading pictures."""
        listed = self.table.select_columns(["video", "frame_names", "object_ids"])
        return [(row["video"], row["object_ids"], len(row["frame_names"])) for row in listed]

    def __getitem__(self, index: int) -> LabelledVideo:
        return LabelledVideo(VideoRow.from_columns(self.table[index]), self.rules)

    def __iter__(self) -> Iterator[LabelledVideo]:
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
    VideoRow.from_columns(dict.fromkeys(table.column_names))  # complains about missing ones
    names = list(table["video"])
    require_known(only, names, f"{name} in {root}")
    if only:
        table = table.select([at for at, video in enumerate(names) if video in only])
    if not len(table):
        raise DataError(f"{root} has no video in it. Make the table of a set that has.")
    return VideoSet(rules, table)


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
