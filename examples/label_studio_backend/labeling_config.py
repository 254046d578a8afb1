"""The labeling config of a project: where answers go, and which field of a task has the file."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from sam2_hf.errors import PromptError


@dataclass(frozen=True, slots=True)
class AnswerTag:
    """A tag of the config that holds answers.

    Attributes:
        kind: Such as "BrushLabels".
        name: Its name, which a region calls `from_name`.
        shown: Name of the photo or video it belongs to, which a region calls `to_name`.
        field: Field of the task's data with the file's address.
    """

    kind: str
    name: str
    shown: str
    field: str


def answer_tag(config: str, kinds: Sequence[str], shown: str) -> AnswerTag:
    """Find the first tag of some kinds.

    Args:
        config: XML of the project's labeling interface.
        kinds: Tags that answers can go to.
        shown: What they must belong to, "Image" or "Video".

    Raises:
        PromptError: The config has none, or is no XML.
    """
    root = _parsed(config)
    fields = {
        element.get("name", ""): element.get("value", "").removeprefix("$")
        for element in root.iter(shown)
    }
    for element in root.iter():
        name, target = element.get("name", ""), element.get("toName", "")
        if element.tag in kinds and target in fields:
            return AnswerTag(element.tag, name, target, fields[target])
    raise PromptError(
        f"the labeling config has no {' or '.join(kinds)} for an {shown}. Add one in the project's "
        "settings, Labeling Interface."
    )


def shows(config: str, tag: str) -> bool:
    """Say whether a config has a tag.

    Raises:
        PromptError: It is no XML.
    """
    return next(_parsed(config).iter(tag), None) is not None


def _parsed(config: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(config)
    except ElementTree.ParseError as error:
        raise PromptError(f"the labeling config is no XML: {error}.") from error
