"""Docstrings as the reference shows them: links for [`Name`], and `Example:` as code.

A name is looked up among the objects that the pages of the reference show. An internal name, which
no page shows, stays plain code.
"""

import re
from pathlib import Path
from typing import Any

import griffe

PAGES = Path(__file__).parent / "reference"
DIRECTIVE = re.compile(r"^::: (sam2_hf[\w.]*)", flags=re.MULTILINE)
REFERENCE = re.compile(r"\[`(\w+)((?:\.\w+)*)`\]")
EXAMPLE = re.compile(r"^( *)Example:$", flags=re.MULTILINE)


def shown_objects(pages: Path = PAGES) -> dict[str, str]:
    """Map the names of all objects of the reference to their paths."""
    texts = (page.read_text(encoding="utf-8") for page in sorted(pages.glob("*.md")))
    paths = (path for text in texts for path in DIRECTIVE.findall(text))
    return {path.rpartition(".")[2]: path for path in paths}


def with_links(docstring: str, shown: dict[str, str]) -> str:
    """Replace every [`Name`] by a link, or by plain code where no page shows the name."""

    def link(match: re.Match[str]) -> str:
        name, member = match.groups()
        code = f"`{name}{member}`"
        return f"[{code}][{shown[name]}{member}]" if name in shown else code

    return REFERENCE.sub(link, docstring)


class DocstringReferences(griffe.Extension):
    """What mkdocstrings loads, see `mkdocs.yml`."""

    def __init__(self) -> None:
        super().__init__()
        self._shown = shown_objects()

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Prepare the docstring of an object that was loaded."""
        if obj.docstring is not None:
            text = EXAMPLE.sub(r"\1Examples:", obj.docstring.value)
            obj.docstring.value = with_links(text, self._shown)
