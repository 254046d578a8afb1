from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file

import sam2_hf
from sam2_hf import atomic_write
from sam2_hf.atomic_write import restore_folder
from sam2_hf.errors import OutputError, TrainingError
from sam2_hf.training import checkpointing
from sam2_hf.training.checkpointing import push_model, save_model, snapshot
from tests.drawn_video import drawn_video_model, own_video_model
from tests.training.small_runs import config_of, settings

pytestmark = pytest.mark.usefixtures("one_thread")

OURS = [
    sam2_hf.Sam2Model,
    sam2_hf.Sam2VideoModel,
    sam2_hf.Sam2ImageProcessor,
    sam2_hf.Sam2Processor,
    sam2_hf.Sam2VideoProcessor,
]
PEERS = [transformers.Sam2Model, transformers.Sam2VideoModel]


class FakeHub:
    """Stands in for the Hub."""

    def __init__(self, failure=None):
        self.failure, self.uploaded = failure, []

    def __call__(self):
        return self

    def create_repo(self, repo_id, **options):
        self.uploaded.append((repo_id, options["private"]))

    def upload_folder(self, repo_id, folder_path, commit_message):
        if self.failure:
            raise self.failure
        self.uploaded.append((repo_id, Path(folder_path).name))
        return type("Commit", (), {"commit_url": f"https://hf.co/{repo_id}"})


def save(world, folder, model=None, **changes):
    config = config_of(settings(world, **changes))
    save_model(snapshot(model or drawn_video_model()), folder, config, "# card\n", {})
    return folder


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_class_of_ours_loads_the_folder(kind, world, tmp_path):
    loaded = kind.from_pretrained(save(world, tmp_path / "saved"))

    size = getattr(loaded, "size", None) or getattr(loaded, "target_size", 64)
    assert size in (64, {"height": 64, "width": 64})


@pytest.mark.parametrize("kind", PEERS, ids=lambda kind: kind.__name__)
def test_transformers_loads_every_weight(kind, world, tmp_path, micro_video_model):
    folder = save(world, tmp_path / "saved", micro_video_model)

    _, report = kind.from_pretrained(folder, output_loading_info=True)

    assert not report["missing_keys"]
    assert not report["mismatched_keys"]


def test_weights_are_stored_in_the_wanted_type(world, tmp_path):
    folder = save(world, tmp_path / "saved", checkpoints__dtype="bfloat16")

    weights = load_file(folder / "model.safetensors")
    kept = {name for name, tensor in weights.items() if tensor.dtype == torch.float32}
    assert all(name.endswith("positional_embedding") for name in kept)
    assert sam2_hf.Sam2VideoConfig.from_pretrained(folder).dtype == torch.bfloat16


def test_an_earlier_model_is_replaced(world, tmp_path):
    (save(world, tmp_path / "saved") / "old.txt").write_text("old")

    save(world, tmp_path / "saved")

    assert not list(tmp_path.glob(".saved*"))
    assert not (tmp_path / "saved" / "old.txt").exists()


def test_a_full_disk_leaves_the_earlier_model(world, tmp_path, monkeypatch):
    folder = save(world, tmp_path / "saved")

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpointing, "save_file", fail)
    with pytest.raises(OutputError, match="No space left on device"):
        save(world, folder)

    assert sam2_hf.Sam2VideoModel.from_pretrained(folder) is not None
    assert not list(tmp_path.glob(".saved*"))


def test_a_model_is_on_the_disk_before_it_takes_its_name(world, tmp_path, monkeypatch):
    flushed, whole_flush = [], atomic_write._flush
    flush = lambda path: (flushed.append(path.name), whole_flush(path))  # noqa: E731
    monkeypatch.setattr(atomic_write, "_flush", flush)

    save(world, tmp_path / "saved")

    assert {"model.safetensors", "config.json", "README.md"} <= set(flushed[:-2])
    assert flushed[-2:] == [".saved.part", tmp_path.name]


def test_a_model_that_a_kill_left_between_two_names_is_found_again(world, tmp_path):
    folder = save(world, tmp_path / "saved")
    folder.replace(tmp_path / ".saved.old")

    restore_folder(folder)
    restore_folder(tmp_path / "never-saved")

    assert sam2_hf.Sam2VideoModel.from_pretrained(folder) is not None
    assert not (tmp_path / ".saved.old").exists()


def test_a_snapshot_is_a_copy_with_averaged_weights_where_there_are_any():
    model = own_video_model().train()
    name = "mask_decoder.mask_tokens.weight"
    average = {name: torch.zeros_like(model.get_parameter(name))}

    copy = snapshot(model, average)

    assert not copy.training
    assert copy.get_parameter(name).eq(0).all()
    assert copy.no_memory_embedding.equal(model.no_memory_embedding)
    with torch.no_grad():
        model.no_memory_embedding.add_(1)
    assert not copy.no_memory_embedding.equal(model.no_memory_embedding)


def test_a_folder_is_pushed_to_a_private_repo(tmp_path, monkeypatch):
    hub = FakeHub()
    monkeypatch.setattr(checkpointing, "HfApi", hub)

    assert push_model(tmp_path / "best", "me/mine") == "https://hf.co/me/mine"

    assert hub.uploaded == [("me/mine", True), ("me/mine", "best")]


def test_a_refused_push_says_where_the_model_is(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpointing, "HfApi", FakeHub(OSError("no network")))

    with pytest.raises(TrainingError, match=r"no network.*hf upload me/mine"):
        push_model(tmp_path / "best", "me/mine")
