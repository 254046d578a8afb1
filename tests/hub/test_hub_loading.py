"""`from_pretrained` against a Hub: by id, by revision, `.pt` only, nothing there, no network."""

import json
import os
import subprocess
import sys

import pytest
import torch
import transformers

from sam2_hf import CheckpointError, Sam2Model
from sam2_hf.model.checkpoints.checkpoint_folder import convert_to_folder
from tests.hub.hub_server import running_hub
from tests.small_checkpoint import small_config


def token_of(model):
    """One weight that tells checkpoints apart."""
    return model.mask_decoder.iou_token.weight.detach()


@pytest.fixture
def originals(hub, folder_files, original_bytes, other_bytes):
    """A repo with the `.pt` alone, other weights on its branch `dev`."""
    config = folder_files["config.json"]
    hub.add("some/originals", {"config.json": config, "old.pt": other_bytes}, "dev")
    hub.add("some/originals", {"config.json": config, "small.pt": original_bytes})
    return "some/originals"


def test_a_model_loads_by_id(hub, folder_files):
    hub.add("some/model", folder_files)

    model = Sam2Model.from_pretrained("some/model")

    assert model.config.prompt_encoder_config.image_size == 64


def test_a_repo_with_safetensors_costs_no_request_more_than_with_transformers(
    hub, folder_files, tmp_path
):
    hub.add("some/model", folder_files | {"original.pt": b"never asked for"})
    transformers.Sam2Model.from_pretrained("some/model", cache_dir=tmp_path / "warm up")
    hub.log.clear()
    transformers.Sam2Model.from_pretrained("some/model", cache_dir=tmp_path / "peer")
    peer = [*hub.log]
    hub.log.clear()

    Sam2Model.from_pretrained("some/model", cache_dir=tmp_path / "ours")

    assert hub.log == peer


def test_a_branch_and_a_commit_are_honoured(hub, folder_files, originals):
    hub.add("some/model", folder_files)
    commit = hub.repos[originals].branches["dev"]

    main = Sam2Model.from_pretrained(originals)
    branch = Sam2Model.from_pretrained(originals, revision="dev")
    pinned = Sam2Model.from_pretrained(originals, revision=commit)

    assert torch.equal(token_of(main), token_of(Sam2Model.from_pretrained("some/model")))
    assert not torch.equal(token_of(main), token_of(branch))
    assert torch.equal(token_of(branch), token_of(pinned))


def test_a_repo_with_the_original_alone_loads_with_the_callers_config(hub, original_bytes):
    hub.add("some/bare", {"small.pt": original_bytes, "README.md": b"hello"})

    model = Sam2Model.from_pretrained("some/bare", config=small_config(), dtype="bfloat16")

    assert model.dtype == torch.bfloat16


def test_an_original_in_a_subfolder_is_found(hub, original_bytes, folder_files):
    files = {"v2/config.json": folder_files["config.json"], "v2/small.pt": original_bytes}
    hub.add("some/nested", files | {"other.pt": b""})

    model = Sam2Model.from_pretrained("some/nested", subfolder="v2")

    assert model.config.prompt_encoder_config.image_size == 64


def test_a_private_repo_needs_its_token(hub, originals):
    hub.repos[originals].token = "secret"

    with pytest.raises(CheckpointError, match="or it is private"):
        Sam2Model.from_pretrained(originals, token=False)
    assert Sam2Model.from_pretrained(originals, token="secret").device.type == "cpu"


def test_a_missing_repo_is_a_clear_error(hub):
    with pytest.raises(CheckpointError, match=r"'some/typo' is neither a folder here nor a model"):
        Sam2Model.from_pretrained("some/typo")


def test_a_missing_revision_is_a_clear_error(originals):
    with pytest.raises(CheckpointError, match="no branch, tag or commit 'v9'"):
        Sam2Model.from_pretrained(originals, revision="v9")


def test_a_repo_without_weights_is_a_clear_error_that_lists_what_is_there(hub):
    hub.add("some/empty", {"README.md": b"hello"})

    with pytest.raises(CheckpointError, match=r"some/empty has no weights.*it holds README\.md"):
        Sam2Model.from_pretrained("some/empty")


def test_a_repo_with_two_originals_is_a_clear_error_that_names_them(hub, original_bytes):
    hub.add("some/two", {"a.pt": original_bytes, "b.pt": original_bytes})

    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints: a\.pt, b\.pt"):
        Sam2Model.from_pretrained("some/two")


def test_a_truncated_download_is_named(hub, folder_files):
    cut = folder_files["model.safetensors"][:-100]
    hub.add("some/cut", folder_files | {"model.safetensors": cut})

    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        Sam2Model.from_pretrained("some/cut")


def test_whoever_insists_on_safetensors_gets_no_original(originals):
    with pytest.raises(OSError, match=r"does not appear to have a file named"):
        Sam2Model.from_pretrained(originals, use_safetensors=True, revision="dev")


def test_without_network_the_cache_serves_both_formats(hub, folder_files, originals):
    hub.add("some/model", folder_files)
    for repo in ("some/model", originals):
        Sam2Model.from_pretrained(repo)
    hub.vanish()
    hub.log.clear()

    models = [Sam2Model.from_pretrained(repo) for repo in ("some/model", originals)]

    assert torch.equal(*map(token_of, models))
    assert hub.log == []


def test_local_files_only_asks_nobody(hub, originals):
    Sam2Model.from_pretrained(originals)
    hub.log.clear()

    Sam2Model.from_pretrained(originals, local_files_only=True)
    with pytest.raises(
        CheckpointError, match="nor in the cache of downloads, and access to the Hub is"
    ):
        Sam2Model.from_pretrained("some/never", local_files_only=True)

    assert hub.log == []


def test_a_path_that_does_not_exist_is_a_clear_error(hub):
    with pytest.raises(CheckpointError, match="neither a folder here nor a Hub id"):
        Sam2Model.from_pretrained("./no/such/folder")
    with pytest.raises(CheckpointError, match=r"there is no file no/such\.pt"):
        Sam2Model.from_pretrained("./no/such.pt")

    assert hub.log == []


def test_the_original_of_a_repo_converts_whatever_else_the_repo_has(
    hub, folder_files, original_bytes, tmp_path
):
    hub.add("some/model", folder_files | {"small.pt": original_bytes})

    folder = convert_to_folder("some/model", tmp_path / "out")

    assert (folder / "model.safetensors").read_bytes() == folder_files["model.safetensors"]


def test_a_repo_without_an_original_cannot_be_converted(hub, folder_files, tmp_path):
    hub.add("some/model", folder_files)

    with pytest.raises(CheckpointError, match="the repo some/model has no original"):
        convert_to_folder("some/model", tmp_path / "out")


SCRIPT = """
import json, sys
from sam2_hf import Sam2Model
for line in sys.stdin:
    model = Sam2Model.from_pretrained(line.strip())
    print(json.dumps(model.mask_decoder.iou_token.weight.tolist()), flush=True)
"""


def test_another_process_finds_the_hub_by_its_environment(tmp_path, folder_files, original_bytes):
    """HF_ENDPOINT as users set it; the second time with a warm cache and no network."""
    with running_hub() as server:
        files = {"config.json": folder_files["config.json"], "small.pt": original_bytes}
        server.add("some/originals", files)
        told = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        environment = {**os.environ, **told, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(
            [sys.executable, "-c", SCRIPT],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as process:
            online = ask(process, "some/originals")
            server.vanish()
            offline = ask(process, "some/originals")
            process.stdin.close()

    assert len(json.loads(online)[0]) == 32
    assert offline == online


def ask(process, line):
    """Write a line to a process and read one."""
    process.stdin.write(line + "\n")
    process.stdin.flush()
    return process.stdout.readline()
