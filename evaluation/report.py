"""Report of evaluations on one page: tables, scores of each video, curves, worst frames.

    python -m evaluation.report runs/davis runs/clicks runs/photos --out report.html

An .html page is self-contained, with embedded pictures; an .md page has them in a folder beside it,
as in a model card.
"""

import argparse
import base64
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import DataError, MissingPackageError, OutputError
from sam2_hf.json_input import load_json

from .exit_status import exit_status
from .run_settings import (
    CURVES_PICTURE,
    SCORES_FILE,
    SETTINGS_FILE,
    TABLE_FILE,
    WORST_PICTURE,
    read_settings,
)

TITLES = {
    "vos": "Semi-supervised video segmentation",
    "interactive": "Interactive video segmentation",
    "images": "Clicks on photos",
    "everything": "Everything in videos",
}
Show = Callable[[Path, int], str]
"""Maps a picture and the number of its run to its reference in the page."""
PICTURES = {CURVES_PICTURE: "Curves", WORST_PICTURE: "The worst ones, and the truth"}
STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{border:1px solid #ccc;padding:.25rem .6rem}"
    "td:not(:first-child){text-align:right}img{max-width:100%}"
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m evaluation.report", description=__doc__.splitlines()[0]
    )
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="--out of an evaluation")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="PAGE", help="a file, .md or .html"
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a page, and print its path."""
    options = build_parser().parse_args(arguments)
    return exit_status(lambda: write_report(options.runs, options.out), "nothing was written")


def write_report(runs: Sequence[Path], page: Path) -> None:
    """Write a page about some runs.

    Args:
        runs: Folders of finished evaluations.
        page: The file, `.md` or `.html`.

    Raises:
        DataError: A folder has no scores, or the page has another ending.
        MissingPackageError: The package markdown-it-py is not installed, which HTML needs.
        OutputError: The page cannot be written.
    """
    if page.suffix not in (".md", ".html"):
        raise DataError(f"--out is {page}. Give a file that ends in .md or .html.")
    show: Show = _embedded if page.suffix == ".html" else _beside(page)
    text = "\n".join(
        line for number, run in enumerate(runs, start=1) for line in _section(run, number, show)
    )
    content = _as_html(text) if page.suffix == ".html" else text + "\n"
    write_atomically(page, content.encode())
    sys.stderr.write(f"written to {page}\n")


def _section(run: Path, number: int, show: Show) -> Iterator[str]:
    """Write the section of a run."""
    settings = read_settings(run / SETTINGS_FILE)
    try:
        table = (run / TABLE_FILE).read_text(encoding="utf-8")
        scores = load_json(run / SCORES_FILE)
        protocol, model = settings["protocol"], settings["model"]
        yield f"## {TITLES[protocol]}: {model['name']} on {settings['data_set']}\n"
        yield table
        yield from DETAILS[protocol](scores)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{run} has no complete results ({error}). Name the --out of a finished evaluation."
        ) from error
    for name, title in PICTURES.items():
        if (run / name).is_file():
            yield f"### {title}\n"
            yield f"![{title}]({show(run / name, number)})\n"
    yield f"Weights: `{model['sha256'][:16]}`, {model['parameters'] / 1e6:.2f} M parameters.\n"


def _videos(scores: dict[str, Any]) -> Iterator[str]:
    """Write a table of all objects of all videos, the worst first."""
    rows = [
        (name, number, score["j"], score["f"], score["frames"])
        for name, objects in scores["videos"].items()
        for number, score in objects.items()
    ]
    yield "### Each object\n"
    yield "| video | object | J&F | J | F | frames |\n|---|---|---|---|---|---|"
    for name, number, j, f, frames in sorted(rows, key=lambda row: row[2] + row[3]):
        yield f"| {name} | {number} | {(j + f) / 2:.1f} | {j:.1f} | {f:.1f} | {frames} |"
    yield ""


def _rounds(scores: dict[str, Any]) -> Iterator[str]:
    """Write a table of all objects for each protocol."""
    for mode, found in scores["modes"].items():
        yield f"### Each object, {mode}\n"
        yield "| object | first frame | last | clicked frames |\n|---|---|---|---|"
        for name, found_rounds in found["objects"].items():
            clicked = ", ".join(map(str, found_rounds["clicked"]))
            first, last = found_rounds["j_and_f"][0], found_rounds["j_and_f"][-1]
            yield f"| {name} | {first:.1f} | {last:.1f} | {clicked} |"
        yield ""


def _nothing(scores: dict[str, Any]) -> Iterator[str]:
    """Write nothing: the table already has a row for each set."""
    del scores
    return iter(())


def _methods(scores: dict[str, Any]) -> Iterator[str]:
    """Write a table of all objects for each method."""
    for method, found in scores["methods"].items():
        yield f"### Each object, {method}\n"
        yield "| video | object | J&F | masklet | switches |\n|---|---|---|---|---|"
        for name, video in found["videos"].items():
            for number, row in video["objects"].items():
                j_and_f = (row["j"] + row["f"]) / 2
                cells = f"{j_and_f:.1f} | {row['masklet']} | {row['switches']}"
                yield f"| {name} | {number} | {cells} |"
        yield ""


DETAILS: dict[str, Callable[[dict[str, Any]], Iterator[str]]] = {
    "vos": _videos,
    "interactive": _rounds,
    "images": _nothing,
    "everything": _methods,
}


def _embedded(picture: Path, number: int) -> str:
    del number
    return f"data:image/png;base64,{base64.b64encode(picture.read_bytes()).decode()}"


def _beside(page: Path) -> Show:
    """Copy pictures into a folder beside the page, and return their paths."""
    folder = page.parent / f"{page.stem}-pictures"

    def copy(picture: Path, number: int) -> str:
        name = f"{number}-{picture.parent.name}-{picture.name}"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(picture, folder / name)
        except OSError as error:
            raise OutputError(f"{folder / name} cannot be written: {error}.") from error
        return quote(f"{folder.name}/{name}")

    return copy


def _as_html(text: str) -> str:
    try:
        from markdown_it import MarkdownIt
    except ImportError as error:
        raise MissingPackageError(
            "markdown-it-py",
            purpose="a page in HTML",
            install="Install it with: pip install markdown-it-py.",
        ) from error
    body = MarkdownIt("commonmark").enable("table").render(text)
    head = f'<meta charset="utf-8"><title>Evaluation</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}\n</body></html>\n'


if __name__ == "__main__":
    sys.exit(main())
