"""Train SAM 2, on one device or many.

accelerate launch -m sam2_hf.training.train --config mose-finetune-base-plus --set output=runs/mose
accelerate launch -m sam2_hf.training.train --config mine.yaml --resume
python -m sam2_hf.training.train --config mine.yaml --set optimizer.learning_rate=1e-4
"""

import argparse
import sys
from collections.abc import Sequence

from sam2_hf.errors import Sam2Error
from sam2_hf.interruption import DONE, FAILED, INTERRUPTED
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError

from .checkpointing import checkpoints
from .config import TrainConfig
from .config_io import read_config
from .run_logging import RunFolder, log
from .trainer import Stopped, Trainer, make_accelerator


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of the command line; nothing here touches a GPU."""
    parser = argparse.ArgumentParser(
        prog="python -m sam2_hf.training.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--config", required=True, help="YAML file, or the name of a recipe of the package"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        dest="changes",
        help="change a setting, such as steps=500, data.0.path=photos or data.0.augment.degrees=5; "
        "repeatable",
    )
    parser.add_argument(
        "--resume", action="store_true", help="resume the run in `output`, if there is one"
    )
    parser.add_argument(
        "--allow-changes",
        action="store_true",
        help="resume although settings differ from those the run was started with",
    )
    parser.add_argument("--push", metavar="REPO", help="push the model to this Hub repo at the end")
    return parser


def train(arguments: Sequence[str]) -> int:
    """Run the command line.

    Returns:
        The exit code.

    Raises:
        Sam2Error: The run cannot start or continue.
    """
    options = build_parser().parse_args(arguments)
    changes = [*options.changes, *([f"push={options.push}"] if options.push else [])]
    config = read_config(options.config, changes)
    accelerator = make_accelerator(config)
    try:
        trainer = Trainer(
            config, accelerator, resume=options.resume, allow_changes=options.allow_changes
        )
        folder = trainer.run()
    except Stopped as stop:
        if accelerator.is_main_process:
            log(f"{stop} The same command with --resume continues.")
        accelerator.end_training()
        return INTERRUPTED
    except KeyboardInterrupt:  # before the run started, or a second one: nothing is saved
        if accelerator.is_main_process:
            log(cut_off(config))
        return INTERRUPTED
    if accelerator.is_main_process:
        log(f"done; the model to use is in {folder}")
    accelerator.end_training()
    return DONE


def cut_off(config: TrainConfig) -> str:
    """Describe the state of a run that was stopped immediately."""
    found = checkpoints(RunFolder(config).checkpoints)
    if not found:
        return f"stopped immediately; there is no checkpoint of the run in {config.output} yet."
    return (
        f"stopped at once; the last checkpoint is {found[-1]}, and steps after it are lost. The "
        "same command with --resume continues from there."
    )


def main() -> int:
    """Run the program; our errors and system errors become one message and exit code 2."""
    try:
        return train(sys.argv[1:])
    except (Sam2Error, CheckpointError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return FAILED


if __name__ == "__main__":
    sys.exit(main())
