"""Photos with the objects of one COCO file: polygons or run lengths."""

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

from sam2_hf.errors import DataError
from sam2_hf.json_input import load_json
from sam2_hf.number_reading import LONGEST, shown

from .config import SourceConfig
from .folders import check_options, file_names, source_folder, text_option, wrong_layout
from .rows import VideoRow, to_segments

EXPECTED = (
    'The kind coco expects the path of a file like instances_train.json, with "images" and '
    '"annotations", or a folder with one such file in it or in annotations/; and the photos in '
    "images/, beside the file, or where the option images says."
)
MOST_PIXELS = 2**31 - 1  # of a side; int32 in a table
IMAGE_FOLDERS = ("images", ".", "../images", "..", "train2017", "val2017")


def read_coco(config: SourceConfig) -> list[VideoRow]:
    """List the photos of a COCO file that have an object; crowds do not count.

    Options: `annotations`, the file below the path; `images`, the folder of the photos.

    Raises:
        DataError: There is no such file, it has another form, or the photos are elsewhere.
    """
    check_options(config, ("annotations", "images"))
    path = _file(config)
    content = load_json(path)
    try:
        rows = _rows(content)
    except (KeyError, AttributeError) as error:
        raise wrong_layout(config, f"{path.name} lacks {error}", EXPECTED) from error
    except (TypeError, ValueError, OverflowError) as error:
        what = f"a field of {path.name} is of another kind ({error})"
        raise wrong_layout(config, what, EXPECTED) from error
    if not rows:
        raise wrong_layout(config, f"{path.name} has no photo with an object", EXPECTED)
    folder = _image_folder(config, path, str(rows[0].images[0]))
    return [_placed(row, folder) for row in rows]


def _rows(content: Any) -> list[VideoRow]:  # noqa: ANN401 - what JSON holds
    objects: dict[object, list[object]] = defaultdict(list)
    for annotation in content["annotations"]:
        if not annotation.get("iscrowd"):
            objects[annotation["image_id"]].append(annotation["segmentation"])
    return [
        VideoRow(
            str(Path(image["file_name"]).with_suffix("")),
            images=[image["file_name"]],
            segments=[to_segments(objects[image["id"]])],
            size=(_side(image["height"]), _side(image["width"])),
        )
        for image in content["images"]
        if objects.get(image["id"])
    ]


def _side(value: Any) -> int:  # noqa: ANN401 - what JSON holds
    side = int(value)
    if not 0 <= side <= MOST_PIXELS:
        raise ValueError(f"a side of {shown(value)} pixels")
    return side


def _placed(row: VideoRow, folder: Path) -> VideoRow:
    image = str(folder / str(row.images[0]))
    return VideoRow(row.name, images=[image], segments=row.segments, size=row.size)


def _file(config: SourceConfig) -> Path:
    path = Path(config.path).expanduser()
    if config.path and path.is_file():
        return path
    root = source_folder(config, EXPECTED)
    if named := text_option(config, "annotations", ""):
        if not (root / named).is_file():
            raise wrong_layout(config, f"there is no file {root / named}", EXPECTED)
        return root / named
    folders = [folder for folder in (root, root / "annotations") if folder.is_dir()]
    found = [folder / name for folder in folders for name in file_names(folder)]
    files = [path for path in found if path.suffix == ".json"]
    if len(files) != 1:
        names = ", ".join(path.name for path in files) or "none"
        raise wrong_layout(config, f"there must be one JSON file, found: {names}", EXPECTED)
    return files[0]


def _image_folder(config: SourceConfig, path: Path, first: str) -> Path:
    """Find the folder that holds the first photo.

    Raises:
        DataError: None does.
    """
    named = text_option(config, "images", "")
    names = (named,) if named else IMAGE_FOLDERS
    folders = [path.parent / name for name in names]
    for folder in folders:
        if os.path.isfile(folder / first):  # False too where the name is too long
            return folder
    looked = ", ".join(map(str, folders))
    raise DataError(
        f"{path}: its first photo {first[:LONGEST]} is not in {looked}. Name the folder "
        f"of the photos in the option images. {EXPECTED}"
    )
