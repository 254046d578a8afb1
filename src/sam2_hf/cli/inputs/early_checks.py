"""Checks of a command line that need neither torch nor a model, so that mistakes show at once.

They also list the photos and fetch the video, which the commands then find in `arguments`.
"""

import argparse
import contextlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

from sam2_hf.cli.argument_types import BoxPrompt, ClickPrompt, MaskPrompt
from sam2_hf.cli.name_options import check_labels, check_text
from sam2_hf.cli.output_files import check_folder
from sam2_hf.cli.report import CommandReport
from sam2_hf.cli.save_options import chosen_formats, names_by_id
from sam2_hf.errors import ImageError, MissingPackageError, PromptError
from sam2_hf.picture_files import (
    PICTURE_ENDINGS,
    VIDEO_ENDINGS,
    file_problem,
    header_problem,
    is_picture_name,
)
from sam2_hf.results.formats import VIDEO_FORMATS, check_ids

from .export_checks import require_possible, require_repo_name
from .sources import Source, find_video, list_photos

PATH_STARTS = ("./", "../", "~", "/", ".\\", "..\\")
WEIGHT_ENDINGS = (".pt", ".pth", ".safetensors")
VIDEO_OPTIONS = {
    "key_frame_every": "--key-frame-every",
    "max_objects": "--max-objects",
    "min_area": "--min-area",
    "layout": "--layout",
    "scene_cuts": "--no-scene-cuts",
    "resume": "--resume",
}
EXPORT_CHECK = "check"  # `export check`, where a model is otherwise


def prepare(arguments: argparse.Namespace, open_files: contextlib.ExitStack) -> bool:
    """Check a command line, and list what it reads.

    Args:
        arguments: With `report`. `sources` is added for photos, and `video` becomes a path.
        open_files: Takes what is to be removed at the end, such as a downloaded video.

    Returns:
        Whether there is anything to do. If not, the report says why.

    Raises:
        Sam2Error: The command cannot be run.
    """
    check = CHECKS.get(arguments.command)
    return True if check is None else check(arguments, open_files)


def _segment(arguments: argparse.Namespace, open_files: contextlib.ExitStack) -> bool:
    points, boxes = arguments.points, arguments.boxes
    _some_photos(arguments)
    if check_text(arguments, {"--point": points, "--box": boxes}):
        return _photos(arguments, open_files)
    names_by_id(arguments.names, range(1, 1 + (1 if points else len(boxes))))
    if not points and not boxes:
        raise PromptError(
            "there is no prompt. Point at the object with --point X,Y or --box, or say what it is "
            "with --text."
        )
    if points and len(boxes) > 1:
        raise PromptError(
            f"there are points and {len(boxes)} boxes, so it is not clear which box the points "
            "belong to. Give points with one box, or boxes alone."
        )
    return _photos(arguments, open_files)


def _everything(arguments: argparse.Namespace, open_files: contextlib.ExitStack) -> bool:
    arguments.video = None
    if not arguments.is_video and not _is_clip(arguments):
        given = [name for name in VIDEO_OPTIONS if name in arguments and getattr(arguments, name)]
        given += ["scene_cuts"] if "scene_cuts" in arguments else []
        if given:
            raise PromptError(
                f"{VIDEO_OPTIONS[given[0]]} is for videos. Give a video file, or --video to take a "
                "folder of pictures as the frames of one."
            )
        arguments.save = chosen_formats(arguments.save, is_video=False)
        _some_photos(arguments)
        check_labels(arguments)
        return _photos(arguments, open_files)
    if len(arguments.photos) != 1 or arguments.from_file is not None:
        raise PromptError(
            f"there are {len(arguments.photos)} sources, and a video is searched one at a time. "
            "Give one video file, or one folder of its frames."
        )
    if arguments.labels:
        raise PromptError("--labels names the masks of photos: leave it out for a video.")
    arguments.save = chosen_formats(arguments.save, is_video=True)
    _model_and_folder(arguments)
    _find_video(arguments, arguments.photos[0], open_files)
    return True


def _is_clip(arguments: argparse.Namespace) -> bool:
    """Whether the only source is a video by its name; a GIF counts as a photo."""
    if len(arguments.photos) != 1 or arguments.from_file is not None:
        return False
    name = arguments.photos[0].lower().partition("?")[0]
    return name.endswith(VIDEO_ENDINGS) and not name.endswith(PICTURE_ENDINGS)


def _photos(arguments: argparse.Namespace, open_files: contextlib.ExitStack) -> bool:
    _some_photos(arguments)
    _model_and_folder(arguments)
    report: CommandReport = arguments.report
    listed = list_photos(arguments.photos, arguments.from_file)
    if not listed:
        raise PromptError(f"the list of photos {arguments.from_file} is empty.")
    report.total = len(listed)
    for source in listed:
        if source.problem:
            report.fail(source.problem, source.given)
    arguments.sources = [source for source in listed if not source.problem]
    if len(listed) == 1 and arguments.sources:
        arguments.sources = [_only_photo(listed[0], open_files)]
    return bool(arguments.sources)


def _some_photos(arguments: argparse.Namespace) -> None:
    if not arguments.photos and arguments.from_file is None:
        raise PromptError(
            "there is no photo. Give a picture file, a folder, a pattern or a URL "
            f"(see sam2-hf {arguments.command} --help)"
        )


def _only_photo(source: Source, open_files: contextlib.ExitStack) -> Source:
    """Fetch the only photo, and look whether it is one."""
    path = open_files.enter_context(source.file())
    if problem := header_problem(path):
        is_video = path.suffix.lower() in VIDEO_ENDINGS
        raise ImageError(f"{path} is a video; `sam2-hf track` reads it." if is_video else problem)
    return Source(source.given, source.kind, path)


def _track(arguments: argparse.Namespace, open_files: contextlib.ExitStack) -> bool:
    if (arguments.video is None) == (arguments.camera is None):
        raise PromptError("give either a video or a camera (--camera 0), not both.")
    others = {"--click": arguments.clicks, "--box": arguments.boxes, "--mask": arguments.masks}
    if check_text(arguments, {**others, "--reference": arguments.references}):
        _forward_only(arguments)
    else:
        _video_prompts(arguments)
    _model_and_folder(arguments)
    if arguments.video is None:
        _camera(arguments)
        _require_av(arguments)
        return True
    _find_video(arguments, arguments.video, open_files)
    return True


def _find_video(
    arguments: argparse.Namespace, given: str, open_files: contextlib.ExitStack
) -> None:
    """Fetch the video and look whether it is one; `arguments.video` becomes its path."""
    source = find_video(given)
    if source.problem:
        raise source.kind.error(source.problem)
    path = open_files.enter_context(source.file())
    if problem := _video_problem(path):
        raise source.kind.error(problem)
    arguments.source, arguments.video = source.given, str(path)
    _require_av(arguments)


def _video_prompts(arguments: argparse.Namespace) -> None:
    given = [*_prompts(arguments), *arguments.references]
    if not given:
        raise PromptError(
            "there is no prompt. Point at an object with --click FRAME:OBJECT:X,Y, --box or "
            "--mask, for example --click 0:1:290,225, or say what it is with --text or --reference."
        )
    object_ids = sorted({prompt.object_id for prompt in given})
    names_by_id(arguments.names, object_ids)
    check_ids(object_ids, arguments.save)
    masks = [prompt.file for prompt in arguments.masks] + [r.mask for r in arguments.references]
    pictures = [reference.picture for reference in arguments.references]
    for kind, files in (("mask file", masks), ("picture", pictures)):
        for file in files:
            if problem := file_problem(file, kind) or header_problem(file):
                raise ImageError(problem)


def _forward_only(arguments: argparse.Namespace) -> None:
    """Objects are looked for forward in time, in a video."""
    if arguments.camera is not None:
        raise PromptError("--text needs a video; before a camera, point at objects with --click.")
    if arguments.direction == "backward":
        raise PromptError("--text is looked for forward in time: leave out --direction.")
    arguments.direction = "forward"


def _require_av(arguments: argparse.Namespace) -> None:
    """Check that PyAV is there if a video is read or written."""
    video = arguments.video
    if importlib.util.find_spec("av") is not None:
        return
    if video is None or not (os.path.isdir(video) or video.lower().endswith(PICTURE_ENDINGS)):
        purpose = "Reading a video"
    elif any(VIDEO_FORMATS[kind].is_video for kind in arguments.save):
        purpose = "Writing a video"
    else:
        return
    raise MissingPackageError(
        "av", purpose=purpose, install="Install it with: pip install 'sam2-hf[video]'."
    )


def _video_problem(path: Path) -> str | None:
    """Say why a folder or file is not a video, by names and first bytes."""
    if path.is_dir():
        try:
            has_pictures = any(map(is_picture_name, os.listdir(path)))
        except OSError as error:
            return f"the folder {path} cannot be read: {error.strerror}."
        problem = f"the folder {path} has no picture. Give the folder of a video's frames."
        return None if has_pictures else problem
    if path.stat().st_size == 0:
        return f"{path} is empty."
    is_picture = path.suffix.lower() in PICTURE_ENDINGS and path.suffix.lower() != ".gif"
    return header_problem(path) if is_picture else None


def _camera(arguments: argparse.Namespace) -> None:
    if arguments.resume or arguments.start or arguments.direction == "backward":
        raise PromptError(
            "a camera cannot go back in time: leave out --resume, --start and --direction."
        )
    if arguments.value_range is not None:
        raise PromptError("a camera delivers 8-bit pictures: leave out --value-range.")
    last = max((prompt.frame for prompt in _prompts(arguments)), default=0)
    if last:
        raise PromptError(
            f"a prompt is for frame {last}; with a camera all must be for frame 0, its first "
            "picture."
        )


def _prompts(arguments: argparse.Namespace) -> list[ClickPrompt | BoxPrompt | MaskPrompt]:
    return [*arguments.clicks, *arguments.boxes, *arguments.masks]


def _label(arguments: argparse.Namespace, _open_files: contextlib.ExitStack) -> bool:
    has_videos = bool(arguments.videos or arguments.from_file)
    if not has_videos and not (arguments.out / "set.json").is_file():
        raise PromptError(
            f"there is no video, and no set in {arguments.out} to continue. Give video files, a "
            "folder, a pattern or an address (see sam2-hf label --help)"
        )
    check_text(arguments, {"--prompts": arguments.prompts})
    _given_objects(arguments)
    if arguments.review is not None and not arguments.retrack:
        raise PromptError("--review is applied by --retrack; give both.")
    if arguments.prompts is not None and not os.path.isdir(arguments.prompts):
        _require_file(arguments.prompts, "file of prompts")
    if arguments.review is not None:
        _require_file(arguments.review, "file of reviews")
    if arguments.workers > 1 and importlib.util.find_spec("ray") is None:
        raise MissingPackageError(
            "ray",
            purpose="Labeling with several workers",
            install="pip install 'sam2-hf[engine]' installs it; --workers 1 needs none.",
        )
    _model_and_folder(arguments)
    return True


def _given_objects(arguments: argparse.Namespace) -> None:
    """Refuse what does not go together with objects of a file, or with names of objects."""
    source = "--prompts" if arguments.prompts is not None else "--text" if arguments.text else ""
    if source and arguments.max_objects is not None:
        raise PromptError(
            f"--max-objects is for masklets that are found, and {source} says which objects there "
            "are. Leave one out."
        )
    if arguments.prompts is not None and arguments.split_frames is not None:
        raise PromptError(
            "--split-frames labels the parts of a video apart, and an object of --prompts would "
            "end where the part of its prompt ends. Leave out --split-frames."
        )


def _require_file(path: str, kind: str) -> None:
    if problem := file_problem(path, kind):
        raise PromptError(problem)


def _convert(arguments: argparse.Namespace, _open_files: contextlib.ExitStack) -> bool:
    _local_model(str(arguments.source))
    check_folder(arguments.target.parent, "Choose another OUT.")
    return True


def _export(arguments: argparse.Namespace, _open_files: contextlib.ExitStack) -> bool:
    if arguments.push_to_hub is not None:
        require_repo_name(arguments.push_to_hub)
    if arguments.model != EXPORT_CHECK:
        require_possible(arguments)
        _local_model(arguments.model)
        check_folder(arguments.target, "Choose another OUT.")
    elif not arguments.target.exists():
        raise PromptError(f"there is no folder {arguments.target}. Check the path.")
    return True


def _model_and_folder(arguments: argparse.Namespace) -> None:
    if arguments.model is not None:
        _local_model(arguments.model)
    for option in ("detector", "scorer"):
        folder = getattr(arguments, option, None) or ""
        if folder.startswith(PATH_STARTS) and not Path(folder).expanduser().is_dir():
            raise PromptError(f"there is no folder {folder} for --{option}. Check the path.")
    check_folder(arguments.out)


def _local_model(model: str) -> None:
    """Refuse a model that can only be a path and is none, or is a file of another kind."""
    path = Path(model).expanduser()
    if path.is_file() and path.suffix not in WEIGHT_ENDINGS:
        known = ", ".join(WEIGHT_ENDINGS)
        raise PromptError(
            f"{model} is not a checkpoint. Give a Hub id, a folder, or a file that ends in {known}."
        )
    if not path.exists() and (model.startswith(PATH_STARTS) or path.suffix in WEIGHT_ENDINGS):
        raise PromptError(f"there is no file or folder {model}. Check the path.")


CHECKS: dict[str, Callable[[argparse.Namespace, contextlib.ExitStack], bool]] = {
    "segment": _segment,
    "everything": _everything,
    "track": _track,
    "label": _label,
    "convert": _convert,
    "export": _export,
}
