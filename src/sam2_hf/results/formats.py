"""The formats of results: one table for `--save`, its help and its errors, and for `save()`.

Nothing here imports torch, so that help is instant.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sam2_hf.errors import PromptError

VIDEO_FILES = (".mp4", ".mov", ".webm", ".gif")
LAST_LABEL = 255  # of an 8-bit picture; 0 is the background


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of result.

    Attributes:
        name: Its name in `--save`.
        ending: What its file or folder adds to the stem.
        about: What it is, for the help.
        ids: Object ids that it can hold, first and last; None for no limit.
        needs_pictures: Whether it shows pixels of the picture.
        files: Patterns of its files if it is a folder, which an earlier run may have left.
        is_shared: Whether all photos go to one folder, which has no stem.
        earlier_name: Its name in earlier versions.
    """

    name: str
    ending: str
    about: str
    ids: tuple[int, int | None] | None = None
    needs_pictures: bool = False
    files: tuple[str, ...] = ()
    is_shared: bool = False
    earlier_name: str = ""

    @property
    def is_video(self) -> bool:
        """Whether it is a video file, which PyAV writes."""
        return self.ending.endswith(VIDEO_FILES)

    def holds(self, object_id: int) -> bool:
        """Whether the format has room for an object's id."""
        if self.ids is None:
            return True
        first, last = self.ids
        return first <= object_id and (last is None or object_id <= last)


def _table(*formats: Format) -> Mapping[str, Format]:
    return {kind.name: kind for kind in formats}


PHOTO_FORMATS = _table(
    Format("overlay", "_overlay.png", "the photo with masks and prompts", needs_pictures=True),
    Format("mask", "_mask.png", "the mask in black and white, or numbered labels"),
    Format("cutout", "_cutout.png", "the objects on a transparent background", needs_pictures=True),
    Format(
        "crop",
        "_crops",
        "a picture of each object, cut to its box",
        needs_pictures=True,
        files=("*.png",),
    ),
    Format("coco", ".json", "COCO JSON with run lengths"),
    Format("coco-polygons", "_polygons.json", "COCO JSON with polygons"),
    Format(
        "yolo",
        "yolo",
        "a data set for ultralytics: pictures, polygons, names",
        needs_pictures=True,
        files=("images/*.png", "labels/*.txt", "data.yaml"),
        is_shared=True,
    ),
    Format("labelme", "_labelme.json", "polygons to edit in labelme"),
    Format("cvat", "_cvat.xml", "CVAT for images 1.1, with masks"),
)
VIDEO_FORMATS = _table(
    Format(
        "overlay",
        "_overlay.mp4",
        "the video with masks and prompts, H.264",
        needs_pictures=True,
        earlier_name="mp4",
    ),
    Format(
        "davis",
        "_masks",
        "one palette PNG per frame; pixel values are object ids",
        ids=(1, LAST_LABEL),
        files=("*.png",),
        earlier_name="png",
    ),
    Format("objects", "_objects", "one PNG per object and frame", files=("*/*.png",)),
    Format("sav", "_masklets.json", "SA-V style JSON with run lengths", earlier_name="json"),
    Format("scores", "_scores.csv", "a table of scores and areas", earlier_name="csv"),
    Format("coco-video", "_coco.json", "YouTube-VIS style COCO JSON"),
    Format(
        "yolo",
        "_yolo",
        "a data set for ultralytics: frames, polygons, names",
        needs_pictures=True,
        files=("images/*.jpg", "labels/*.txt", "data.yaml"),
    ),
    Format("mot", "_mot.txt", "MOTChallenge boxes", ids=(0, None)),
    Format(
        "alpha",
        "_alpha.mov",
        "the objects on a transparent background (ProRes 4444, for video editors)",
        needs_pictures=True,
    ),
    Format(
        "alpha-web",
        "_alpha.webm",
        "the same as VP9 for browsers (Safari shows no transparency)",
        needs_pictures=True,
    ),
    Format("greenscreen", "_greenscreen.mp4", "the objects on green, H.264", needs_pictures=True),
    Format(
        "cutout-gif",
        "_cutout.gif",
        "the objects, cut to their box, as a transparent GIF (the whole frame with --camera)",
        needs_pictures=True,
    ),
)
SET_FORMATS = _table(
    Format("sav", "sav", "a JSON file of masklets for each video, as SA-V has it"),
    Format("davis", "davis", "palette PNGs, Annotations/VIDEO/00000.png", ids=(1, LAST_LABEL)),
    Format("coco-video", "instances.json", "one COCO JSON of all videos, as YouTube-VIS has it"),
    Format("yolo", "yolo", "a data set for ultralytics", needs_pictures=True),
    Format("parquet", "train.parquet", "a table for datasets, which training reads"),
)
PHOTO_DEFAULTS = ("overlay", "mask", "coco")
VIDEO_DEFAULTS = ("overlay", "davis", "sav", "scores")


def read_formats(names: Iterable[str], table: Mapping[str, Format]) -> tuple[str, ...]:
    """Read names of formats, in the order of the table.

    Args:
        names: In any order; earlier names are accepted.
        table: The formats.

    Raises:
        PromptError: There is no such format, or no name.
    """
    earlier = {kind.earlier_name: kind.name for kind in table.values() if kind.earlier_name}
    wanted = {earlier.get(name, name) for name in names}
    if unknown := sorted(wanted - set(table)):
        raise PromptError(f"there is no format {unknown[0]!r}. Choose from: {', '.join(table)}.")
    if not wanted:
        raise PromptError(f"there is no format to save. Choose from: {', '.join(table)}.")
    return tuple(name for name in table if name in wanted)


def check_ids(object_ids: Iterable[int], formats: Iterable[str]) -> None:
    """Check that the formats of a video can hold its objects.

    Raises:
        PromptError: One cannot; the message says which can.
    """
    chosen = [VIDEO_FORMATS[name] for name in formats]
    for object_id in object_ids:
        for kind in chosen:
            if not kind.holds(object_id):
                raise PromptError(_no_room(object_id, kind))


def _no_room(object_id: int, kind: Format) -> str:
    first, last = kind.ids or (0, None)
    room = f"{first} or more" if last is None else f"{first} to {last}"
    fitting = [other.name for other in VIDEO_FORMATS.values() if other.holds(object_id)]
    return (
        f"{kind.name} cannot hold object {object_id}; its ids are {room}. Renumber the object, or "
        f"choose a format that can: {', '.join(fitting)}."
    )


def help_text(table: Mapping[str, Format], stem: str) -> str:
    """List the formats for the help of `--save`, with the names of their files.

    Args:
        table: The formats.
        stem: Of the files.
    """
    lines = []
    for kind in table.values():
        name = f"{'' if kind.is_shared else stem}{kind.ending}{'/' if kind.files else ''}"
        lines += [f"  {kind.name:13}  {name}", f"  {'':13}  {kind.about}"]
    return "\n".join(lines)


def format_for(path_ending: str, endings: Mapping[str, str]) -> str:
    """Choose the format for the ending of a file.

    Args:
        path_ending: Such as ".json".
        endings: Name of the format by ending.

    Raises:
        PromptError: No format has this ending.
    """
    kind = endings.get(path_ending.lower())
    if kind is None:
        raise PromptError(
            f"no format has the ending {path_ending!r}. Endings: {', '.join(endings)}; or choose "
            "one with kind=."
        )
    return kind
