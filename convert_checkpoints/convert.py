"""Convert an original checkpoint to a folder that transformers and sam2_hf load.

python -m convert_checkpoints.convert sam2.1_hiera_tiny.pt ./sam2.1-tiny
python -m convert_checkpoints.convert fine_tuned.pt ./mine --config ./base --push me/my-sam2
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi

from sam2_hf.model.checkpoints.checkpoint_folder import convert_to_folder
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig

from .command_line import EQUAL, run, say


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a file."""
    parser = argparse.ArgumentParser(
        prog="python -m convert_checkpoints.convert",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("checkpoint", help="the original .pt, or a folder or Hub id that has one")
    parser.add_argument("out", type=Path, help="folder to make; it must not exist, or be empty")
    parser.add_argument(
        "--config",
        help="folder or config.json with settings that weights do not determine (attention "
        "heads, window sizes, global blocks, input size); not needed for the released models",
    )
    parser.add_argument(
        "--push", metavar="REPO", help="also upload the folder to this Hub repo, owner/name"
    )
    parser.add_argument("--private", action="store_true", help="make the Hub repo private")
    return parser


def convert(arguments: Sequence[str]) -> int:
    """Convert, and push if requested."""
    options = build_parser().parse_args(arguments)
    config = Sam2VideoConfig.from_pretrained(options.config) if options.config else None
    folder = convert_to_folder(options.checkpoint, options.out, config=config, repo_id=options.push)
    say(f"wrote {folder}: {', '.join(sorted(path.name for path in folder.iterdir()))}")
    if options.push:
        say(f"pushed to {push(folder, options.push, private=options.private)}")
    return EQUAL


def push(folder: Path, repo_id: str, *, private: bool = False) -> str:
    """Upload a converted folder as one commit.

    Args:
        folder: Written by `convert_to_folder`.
        repo_id: The Hub repo, `owner/name`; created if missing.
        private: Whether a new repo is private.

    Returns:
        The address of the commit.

    Raises:
        OSError: If the Hub refuses or cannot be reached.
    """
    hub = HfApi()
    hub.create_repo(repo_id, private=private, exist_ok=True)
    commit = hub.upload_folder(
        repo_id=repo_id, folder_path=folder, commit_message="Add SAM 2 in transformers' format"
    )
    return commit.commit_url


if __name__ == "__main__":
    sys.exit(run(convert))
