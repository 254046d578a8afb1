"""The options `--text`, `--labels` and their models. Nothing here imports torch."""

import argparse
from collections.abc import Mapping

from sam2_hf.errors import PromptError
from sam2_hf.open_vocabulary.labels import EVERY, read_labels

from .argument_types import share, whole_number


def add_text(options: argparse._ActionsContainer) -> None:
    """Add `--text` and the options of its detector."""
    options.add_argument(
        "--text",
        metavar="NAME",
        action="append",
        default=[],
        help="what to find, such as 'a dog', instead of pointing at it; may be repeated",
    )
    options.add_argument(
        "--detector",
        metavar="ID_OR_PATH",
        help="zero-shot detector of transformers that finds it, such as "
        "google/owlv2-base-patch16-ensemble (default: IDEA-Research/grounding-dino-tiny)",
    )
    options.add_argument(
        "--detection-threshold",
        metavar="X",
        type=share,
        help="minimum score of a detection, 0-1 (default: the detector's own)",
    )


def add_detect_every(options: argparse._ActionsContainer) -> None:
    """Add `--detect-every`."""
    options.add_argument(
        "--detect-every",
        metavar="N",
        type=whole_number,
        default=EVERY,
        help="look for new objects on every N-th frame; 0 looks at the first one only "
        f"(default: {EVERY})",
    )


def add_labels(options: argparse._ActionsContainer) -> None:
    """Add `--labels` and its scorer."""
    options.add_argument(
        "--labels",
        metavar="NAMES",
        type=lambda text: text.split(","),
        help="names for the masks, separated by commas, such as 'a cup,a spoon'; each mask gets "
        "the one that fits best",
    )
    options.add_argument(
        "--scorer",
        metavar="ID_OR_PATH",
        help="CLIP-like model of transformers that says what fits (default: "
        "openai/clip-vit-base-patch32)",
    )


def check_text(arguments: argparse.Namespace, others: Mapping[str, object]) -> bool:
    """Check `--text`, and read it; return whether it is given.

    Args:
        arguments: The command line.
        others: The values of the options that name objects too, by option.

    Raises:
        PromptError: It cannot be used, or goes together with prompts or `--name`.
    """
    if not arguments.text:
        for option in ("detector", "detection_threshold"):
            if getattr(arguments, option) is not None:
                flag = f"--{option.replace('_', '-')}"
                raise PromptError(f"{flag} is for --text, which is missing. Say what to find.")
        return False
    arguments.text = list(read_labels(arguments.text, "--text"))
    if given := next((option for option, value in others.items() if value), None):
        raise PromptError(f"there is --text, and there is {given} as well. Give one of them.")
    if getattr(arguments, "names", None):
        raise PromptError("--text names the objects that it finds: leave out --name.")
    return True


def check_labels(arguments: argparse.Namespace) -> None:
    """Check `--labels`, and read them.

    Raises:
        PromptError: They cannot be used, or there is a scorer without them.
    """
    if arguments.labels is not None:
        arguments.labels = list(read_labels(arguments.labels, "--labels"))
    elif arguments.scorer is not None:
        raise PromptError("--scorer is for --labels, which are missing. Say what names there are.")
