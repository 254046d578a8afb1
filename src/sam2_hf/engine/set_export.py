"""Export of a set: its accepted masklets in the formats of other tools, with their provenance.

`provenance.jsonl` beside the exports has a line for each video: where it is, and for each masklet
model, prompts, scores, and what persons did. COCO annotations and rows of the table hold the same.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sam2_hf.atomic_write import atomic_folder, atomic_path
from sam2_hf.data.rows import column_kinds, import_datasets, to_segments
from sam2_hf.errors import OutputError, PromptError
from sam2_hf.frames.image_sequence import list_pictures
from sam2_hf.frames.open import open_frames
from sam2_hf.results.coco import category_ids, category_rows, information
from sam2_hf.results.formats import LAST_LABEL, SET_FORMATS
from sam2_hf.results.found_object import UNNAMED
from sam2_hf.writers.coco_video import coco_video_head, video_annotations
from sam2_hf.writers.frame_journal import TrackedFrame
from sam2_hf.writers.masklet_json import write_masklets
from sam2_hf.writers.track_files import FrameNames, TrackedClip, TrackFiles

from .claims import Beat
from .set_folder import SetFolder
from .tracked_objects import SMALLEST_INPUT
from .video_labels import ACCEPTED, LabeledFrames, LabeledMasklet, VideoLabels
from .video_queue import QueuedVideo

PROVENANCE = "provenance.jsonl"
TABLE_COLUMNS = ("name", "images", "video", "annotated", "segments", "size", "object_ids")
VIDEOS_AT_A_TIME = 64  # in memory
NEED_FILES = ("sav", "parquet")  # they refer to the videos themselves
AUTO = "_auto"  # SA-V's ending of masklets that a model made


@dataclass(frozen=True, slots=True, eq=False)
class ExportedVideo:
    """A video with accepted masklets.

    Attributes:
        video: The video.
        masklets: The accepted ones.
        frames: Their masks.
        queued: Where the video is.
    """

    video: VideoLabels
    masklets: Sequence[LabeledMasklet]
    frames: Iterable[TrackedFrame]
    queued: QueuedVideo

    @property
    def local(self) -> Path | None:
        """Path of the video; None if it is an address or in a table."""
        path = Path(self.queued.address)
        return path if path.is_absolute() and path.exists() else None

    @property
    def provenance(self) -> list[dict[str, Any]]:
        """How each masklet came to be."""
        return [asdict(masklet) for masklet in self.masklets]

    @property
    def label_values(self) -> dict[int, int]:
        """Pixel value of each object in a label map, where ids are too large to be that; or {}."""
        ids = sorted(masklet.object_id for masklet in self.masklets)
        if all(map(SET_FORMATS["davis"].holds, ids)):
            return {}
        return {object_id: value for value, object_id in enumerate(ids, 1)}

    def with_label_values(self) -> "ExportedVideo":
        """Return it with objects that are numbered as label maps can hold them."""
        values = self.label_values
        if not values:
            return self
        masklets = [replace(item, object_id=values[item.object_id]) for item in self.masklets]
        return replace(self, masklets=masklets, frames=_Renumbered(self.frames, values))

    def clip(self) -> TrackedClip:
        """Describe it for the writers of tracked videos."""
        names = FrameNames() if self.local is None else FrameNames.for_video(self.local)
        return TrackedClip(about=self.video.facts(self.masklets), frame_names=names)


class _Renumbered(Iterable[TrackedFrame]):
    """Frames with other object ids; read again at each iteration."""

    def __init__(self, frames: Iterable[TrackedFrame], numbers: Mapping[int, int]) -> None:
        self._frames = frames
        self._numbers = numbers

    def __iter__(self) -> Iterator[TrackedFrame]:
        for tracked in self._frames:
            objects = (replace(x, object_id=self._numbers[x.object_id]) for x in tracked.objects)
            yield replace(tracked, objects=tuple(objects))


Export = Callable[[list[ExportedVideo], Path], object]


def export_set(folder: SetFolder, kinds: Iterable[str], target: Path, check: Beat) -> list[Path]:
    """Write the accepted masklets; an earlier export is replaced, each format whole.

    Args:
        folder: The set.
        kinds: Names of `SET_FORMATS`.
        target: Folder of the exports.
        check: Called for each video; raises to stop.

    Returns:
        What was written.

    Raises:
        DataError: Labels are damaged.
        OutputError: The folder has other files of these names, or cannot be written.
        PromptError: A format cannot hold so many objects, or refers to videos that are no files.
            Nothing is written then.
        MissingPackageError: The table needs `datasets`.
        VideoError: A format shows pictures, and a video cannot be read any more.
    """
    paths = {kind: target / SET_FORMATS[kind].ending for kind in kinds}
    if not (target / PROVENANCE).exists():
        for path in paths.values():
            if os.path.lexists(path):
                raise OutputError(f"{path} is there, and no export of a set. Choose another --to.")
    videos = list(_accepted(folder, check))
    _require_possible(videos, paths)
    _write_lines(target / PROVENANCE, (_line(item) for item in videos))
    for kind, path in paths.items():
        try:
            EXPORTS[kind](videos, path)
        except OSError as error:
            if isinstance(error, OutputError):
                raise
            raise OutputError(f"cannot write {path}: {error.strerror or error}.") from error
        check()
    return [*paths.values(), target / PROVENANCE]


def _accepted(folder: SetFolder, check: Beat) -> Iterator[ExportedVideo]:
    queue = {video.id: video for video in folder.queue()}
    for video in folder.videos():
        check()
        masklets = [masklet for masklet in video.masklets if masklet.status == ACCEPTED]
        ids = [masklet.object_id for masklet in masklets]
        if masklets:
            frames = LabeledFrames(folder.labels(video.id), ids)
            yield ExportedVideo(video, masklets, frames, queue[video.id])


def _require_possible(videos: Iterable[ExportedVideo], kinds: Iterable[str]) -> None:
    """Refuse formats that cannot hold the videos, before anything is written.

    Raises:
        PromptError: There is one.
    """
    chosen = set(kinds)
    needing = ", ".join(kind for kind in NEED_FILES if kind in chosen)
    for item in videos:
        if needing and item.local is None:
            raise PromptError(
                f"{needing}: training would read the file of each video, and "
                f"{item.queued.address} is not a file here. Label downloaded videos, or export "
                "davis, coco-video or yolo."
            )
        if "davis" in chosen and len(item.masklets) > LAST_LABEL:
            raise PromptError(
                f"davis cannot hold {len(item.masklets)} accepted objects of {item.video.name}; a "
                f"label map has room for {LAST_LABEL}. Choose another format."
            )


def _line(item: ExportedVideo) -> str:
    facts = {"video": item.video.id, "address": item.video.address, "phase": item.video.phase}
    values = {"label_values": item.label_values} if item.label_values else {}
    return json.dumps({**facts, **values, "masklets": item.provenance})


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with atomic_path(path) as hidden, hidden.open("w", encoding="ascii") as file:
        file.writelines(f"{line}\n" for line in lines)


def _sav(videos: list[ExportedVideo], target: Path) -> None:
    """Write SA-V's JSON for each video, with a link to the video, which `data/sav.py` reads."""
    with atomic_folder(target) as hidden:
        for item in videos:
            path = hidden / f"{item.video.id}{AUTO}.json"
            write_masklets(path, item.clip().about, item.frames)
            if item.local is not None:
                ending = "" if item.local.is_dir() else item.local.suffix
                _link(hidden / f"{item.video.id}{ending}", item.local)


def _davis(videos: list[ExportedVideo], target: Path) -> None:
    """Write a label map for each frame, with a link to the frames if they are pictures."""
    with atomic_folder(target) as hidden:
        for item in videos:
            place = hidden / "Annotations" / item.video.id
            _write_frames("davis", item.with_label_values(), place, pictures=None)
            if item.local is not None and item.local.is_dir():
                (hidden / "JPEGImages").mkdir(exist_ok=True)
                _link(hidden / "JPEGImages" / item.video.id, item.local)


def _yolo(videos: list[ExportedVideo], target: Path) -> None:
    with atomic_folder(target) as hidden:
        for item in videos:
            with (
                item.queued.opened() as source,
                open_frames(source, image_size=SMALLEST_INPUT) as frames,
            ):
                _write_frames("yolo", item, hidden, pictures=frames.picture)


def _write_frames(
    kind: str,
    item: ExportedVideo,
    path: Path,
    *,
    pictures: Callable[[int], NDArray[np.uint8]] | None,
) -> None:
    with TrackFiles([kind], lambda _: path, item.clip()) as files:
        for tracked in item.frames:
            files.write(tracked, None if pictures is None else pictures(tracked.frame))


def _coco_video(videos: list[ExportedVideo], target: Path) -> None:
    """Write one file of all videos; an annotation at a time is in memory."""
    categories = category_ids(masklet.name for item in videos for masklet in item.masklets)
    heads = []
    for number, item in enumerate(videos, 1):
        clip = item.clip()
        (head,) = coco_video_head(clip.about, clip.frame_names.picture)["videos"]
        heads.append({**head, "id": number, "address": item.video.address})
    models = sorted({m.model.get("name", "") for item in videos for m in item.masklets})
    content = {
        "info": information(", ".join(models)),
        "videos": heads,
        "categories": category_rows(categories),
    }
    with atomic_path(target) as hidden, hidden.open("w", encoding="ascii") as file:
        file.write(json.dumps(content)[:-1] + ', "annotations": [')
        for place, annotation in enumerate(_coco_annotations(videos, categories)):
            file.write(f"{',' * (place > 0)}\n{json.dumps(annotation)}")
        file.write("\n]}\n")


def _coco_annotations(
    videos: Sequence[ExportedVideo], categories: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    last = 0
    for number, item in enumerate(videos, 1):
        about = item.video.facts(item.masklets)
        rows = zip(video_annotations(about, item.frames), item.provenance, strict=True)
        for annotation, provenance in rows:
            last += 1
            own = {
                "id": last,
                "video_id": number,
                "category_id": categories[provenance["name"] or UNNAMED],
                "provenance": provenance,
            }
            yield {**annotation, **own}


def _parquet(videos: list[ExportedVideo], target: Path) -> None:
    """Write a table whose rows training reads, with the provenance as a column of JSON.

    The masks of a few videos are in memory at a time.
    """
    datasets = import_datasets()
    import pyarrow.parquet  # optional, comes with datasets

    kinds = column_kinds()
    features = datasets.Features(
        {**{name: kinds[name] for name in TABLE_COLUMNS}, "provenance": datasets.Value("string")}
    )
    with (
        atomic_path(target) as hidden,
        pyarrow.parquet.ParquetWriter(hidden, features.arrow_schema) as writer,
    ):
        for first in range(0, len(videos), VIDEOS_AT_A_TIME):
            rows = list(map(_row, videos[first : first + VIDEOS_AT_A_TIME]))
            columns = {name: [row[name] for row in rows] for name in features}
            part = datasets.Dataset.from_dict(columns, features=features)
            writer.write_table(part.data.table.cast(features.arrow_schema))


def _row(item: ExportedVideo) -> dict[str, Any]:
    """Make the columns of a video, see `VideoRow`."""
    ids = [masklet.object_id for masklet in item.masklets]
    annotated, segments = [], []
    for tracked in item.frames:
        found = {part.object_id: part.segmentation for part in tracked.objects}
        annotated.append(tracked.frame)
        segments.append(to_segments([found.get(object_id) for object_id in ids]))
    pictures = item.local if item.local is not None and item.local.is_dir() else None
    return {
        "name": item.video.id,
        "images": [] if pictures is None else list(list_pictures(pictures)),
        "video": item.queued.address if pictures is None else None,
        "annotated": annotated,
        "segments": segments,
        "size": list(item.video.size),
        "object_ids": ids,
        "provenance": json.dumps(item.provenance),
    }


def _link(link: Path, target: Path) -> None:
    """Link to a video, where the file system has links."""
    with contextlib.suppress(OSError):
        link.symlink_to(target)


EXPORTS: Mapping[str, Export] = {
    "sav": _sav,
    "davis": _davis,
    "coco-video": _coco_video,
    "yolo": _yolo,
    "parquet": _parquet,
}
