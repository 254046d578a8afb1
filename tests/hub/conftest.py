"""A Hub on this machine, and the models it has."""

import pytest
from huggingface_hub import constants

from sam2_hf.model.checkpoints.checkpoint_folder import convert_to_folder
from tests.hub.hub_server import running_hub
from tests.small_checkpoint import save_original, small_config, small_original


@pytest.fixture(scope="session")
def original_bytes(tmp_path_factory):
    """The small original checkpoint as a file's content."""
    return save_original(tmp_path_factory.mktemp("original") / "small.pt").read_bytes()


@pytest.fixture(scope="session")
def other_bytes(tmp_path_factory):
    """One with other weights."""
    path = tmp_path_factory.mktemp("other") / "small.pt"
    return save_original(path, small_original(seed=1)).read_bytes()


@pytest.fixture(scope="session")
def folder_files(tmp_path_factory, original_bytes):
    """The small model in transformers' format, as {name: content}."""
    place = tmp_path_factory.mktemp("converted")
    (place / "small.pt").write_bytes(original_bytes)
    folder = convert_to_folder(place / "small.pt", place / "folder", config=small_config())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A running Hub that the Hub's client in this process asks, with an empty cache."""
    with running_hub() as server:
        monkeypatch.setattr(constants, "ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        # transformers keeps one client, which remembers the Hub it was made for.
        monkeypatch.setattr("transformers.utils.hub._hf_api", None, raising=False)
        yield server
