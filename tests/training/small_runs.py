"""Training runs of seconds: the least model, a few photos of squares, a few steps."""

from pathlib import Path

import torch
import yaml
from safetensors.torch import load_file

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.training.config import TrainConfig
from sam2_hf.training.config_io import from_plain
from sam2_hf.training.trainer import Trainer, make_accelerator
from tests.small_checkpoint import small_config
from tests.training.drawn_data import write_pairs, write_sequence

NO_DROPOUT = {"memory_attention_dropout": 0.0, "memory_attention_rope_dropout": 0.0}


def write_world(folder, **sizes):
    """Write data and a model to begin with."""
    write_pairs(folder / "pairs", count=4)
    write_sequence(folder / "videos", "one", num_frames=4)
    write_sequence(folder / "videos", "two", num_frames=4, shift=3)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        Sam2VideoModel(small_config(**NO_DROPOUT | sizes)).save_pretrained(folder / "model")
    return folder


def settings(world, name="run", **changes):
    """Plain settings of a run in `world`; `optimizer__betas` and the like change nested ones."""
    pairs = {"kind": "pairs", "path": str(world / "pairs"), "batch_size": 2, "augment": {}}
    videos = {"kind": "davis", "path": str(world / "videos"), "num_frames": 3, "batch_size": 2}
    content = {
        "model": str(world / "model"),
        "output": str(world / name),
        "data": [pairs, videos],
        "steps": 4,
        "workers": 0,
        "prompts": {"corrections": 1},
        "optimizer": {"learning_rate": 1e-3, "warmup_steps": 2, "layer_decay": 0.9},
        "logging": {"every": 1, "picture_every": 0},
        "checkpoints": {"every": 2},
    }
    for key, value in changes.items():
        part, _, field = key.partition("__")
        content[part] = {**content.get(part, {}), field: value} if field else value
    return content


def validated(world, every=2):
    """Settings of a validation on photos and a whole video."""
    photos = {"kind": "pairs", "path": str(world / "pairs")}
    video = {"kind": "davis", "path": str(world / "videos"), "num_frames": 0, "batch_size": 1}
    return {"sources": [photos, {**video, "only": ["two"]}], "every": every, "max_items": 2}


def config_of(content):
    """Read plain settings."""
    return from_plain(TrainConfig, content)


def trainer_of(content, *, resume=False, allow_changes=False):
    """Set a run up."""
    config = config_of(content)
    return Trainer(config, make_accelerator(config), resume=resume, allow_changes=allow_changes)


def train(content, *, resume=False):
    """Train to the end; returns the run's folder."""
    trainer_of(content, resume=resume).run()
    return Path(content["output"])


def write_config(content, path):
    """Write settings as a YAML file."""
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def tensors_of(run, step):
    """All tensors of a checkpoint, by file and name."""
    folder = run / "checkpoints" / f"step-{step:08d}"
    return {
        f"{path.stem}/{name}": tensor
        for path in sorted(folder.glob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def unequal(one, other):
    """Names of the tensors that differ in a bit, or that only one side has."""
    shared = one.keys() & other.keys()
    return sorted((one.keys() ^ other.keys()) | {n for n in shared if not one[n].equal(other[n])})


def farthest(one, other):
    """The largest difference of any weight."""
    assert one.keys() == other.keys()
    return max((one[name].double() - other[name].double()).abs().max().item() for name in one)


def losses_of(run):
    """Every loss in `train.csv`, by step, as it is written."""
    header, *rows = (run / "train.csv").read_text(encoding="utf-8").splitlines()
    last = header.split(",").index("gradient_norm")
    return {row.split(",")[0]: row.split(",")[1 : last + 1] for row in rows}
