"""The options `--save` and `--name`. Nothing here imports torch, so that help is instant."""

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence

from sam2_hf.errors import PromptError
from sam2_hf.results.formats import (
    PHOTO_DEFAULTS,
    PHOTO_FORMATS,
    VIDEO_DEFAULTS,
    VIDEO_FORMATS,
    Format,
    read_formats,
)


def add_save(
    options: argparse._ActionsContainer,
    table: Mapping[str, Format],
    defaults: Sequence[str],
    *flags: str,
) -> None:
    """Add `--save`.

    Args:
        options: The parser or group.
        table: The formats.
        defaults: Names of those that are written without the option.
        *flags: Earlier names of the option.
    """
    options.add_argument(
        "--save",
        *flags,
        dest="save",
        metavar="KINDS",
        type=formats_of(table),
        default=tuple(defaults),
        help=f"formats to write, separated by commas (default: {','.join(defaults)}); see below",
    )


def add_save_of_either(options: argparse._ActionsContainer) -> None:
    """Add `--save` of a command that takes photos or a video; `chosen_formats` reads it."""
    options.add_argument(
        "--save",
        metavar="KINDS",
        type=_either,
        default=(),
        help=f"formats to write, separated by commas (default: {','.join(PHOTO_DEFAULTS)}; of a "
        f"video {','.join(VIDEO_DEFAULTS)}); see below",
    )


def chosen_formats(names: Sequence[str], *, is_video: bool) -> tuple[str, ...]:
    """Return the formats of photos or of a video; the default ones if none was named.

    Raises:
        PromptError: One is of the other kind.
    """
    if not names:
        return VIDEO_DEFAULTS if is_video else PHOTO_DEFAULTS
    return read_formats(names, VIDEO_FORMATS if is_video else PHOTO_FORMATS)


def _either(text: str) -> tuple[str, ...]:
    """Read a list of formats of which each is one of photos or of videos."""
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    formats_of({**VIDEO_FORMATS, **PHOTO_FORMATS})(text)
    return names


def add_names(options: argparse._ActionsContainer) -> None:
    """Add `--name`."""
    options.add_argument(
        "--name",
        dest="names",
        metavar="OBJECT=NAME",
        action="append",
        default=[],
        type=object_name,
        help="name of an object, such as 1=truck; objects with the same name share a category; may "
        "be repeated",
    )


def formats_of(table: Mapping[str, Format]) -> Callable[[str], tuple[str, ...]]:
    """Return a reader of a list such as `overlay,coco`."""

    def read(text: str) -> tuple[str, ...]:
        try:
            return read_formats([part.strip() for part in text.split(",") if part.strip()], table)
        except PromptError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return read


def object_name(text: str) -> tuple[int, str]:
    """Read `OBJECT=NAME`.

    Raises:
        argparse.ArgumentTypeError: It has another form.
    """
    number, _, name = text.partition("=")
    try:
        object_id = int(number)
    except ValueError:
        object_id = None
    if object_id is None or not name.strip() or not name.isprintable():
        raise argparse.ArgumentTypeError(f"{text!r} is not OBJECT=NAME such as 1=truck")
    return object_id, name.strip()


def names_by_id(names: Sequence[tuple[int, str]], object_ids: Collection[int]) -> dict[int, str]:
    """Collect the names of objects.

    Raises:
        PromptError: There is no such object, or it has two names.
    """
    found: dict[int, str] = {}
    for object_id, name in names:
        if object_id not in object_ids:
            raise PromptError(
                f"--name {object_id}={name} names object {object_id}, but the objects are "
                f"{', '.join(map(str, sorted(object_ids)))}."
            )
        if found.setdefault(object_id, name) != name:
            raise PromptError(f"object {object_id} is named {found[object_id]!r} and {name!r}.")
    return found
