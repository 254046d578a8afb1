"""Is the model at hand, does the Hub answer?"""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from huggingface_hub import constants

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.pipelines import loading
from sam2_hf.pipelines.loading import hub_answers, is_cached, loading_options

MODEL = "someone/some-model"


@pytest.fixture
def hub(monkeypatch):
    """A server that answers every request with the status it is told; the Hub of this process."""

    class Handler(BaseHTTPRequestHandler):
        status = 404

        def do_HEAD(self):
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    yield Handler
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def no_hub(monkeypatch):
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache; the function puts a model into it."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "cache" / "models--someone--some-model" / "snapshots" / "abc"
    return lambda: folder.mkdir(parents=True)


@pytest.mark.parametrize(("status", "expected"), [(200, True), (404, True), (503, False)])
def test_any_answer_but_that_of_a_server_in_trouble_counts(hub, status, expected):
    hub.status = status

    assert hub_answers(MODEL) is expected


def test_nobody_there_is_known_at_once(no_hub):
    start = time.monotonic()

    assert not hub_answers(MODEL)

    assert time.monotonic() - start < 2


def test_a_name_server_that_hangs_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(loading, "_ask", lambda *arguments: time.sleep(2))
    start = time.monotonic()

    assert not hub_answers(MODEL, seconds=0.2)

    assert time.monotonic() - start < 1


def test_offline_mode_is_obeyed(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    assert not hub_answers(MODEL)


def test_the_cache_is_looked_into(cache):
    assert not is_cached(MODEL)

    cache()

    assert is_cached(MODEL)


def test_a_model_that_is_there_is_loaded_without_asking_anybody(monkeypatch, tmp_path):
    monkeypatch.setattr(loading, "hub_answers", None)

    assert loading_options(tmp_path) == {}


def test_with_a_hub_loading_is_as_usual(hub, cache):
    assert loading_options(MODEL) == {}


def test_without_a_hub_the_cache_serves(no_hub, cache):
    cache()

    assert loading_options(MODEL) == {"local_files_only": True}


def test_without_hub_and_cache_the_error_says_so(no_hub, cache):
    with pytest.raises(CheckpointNotFoundError, match=r"not on this machine .* does not"):
        loading_options(MODEL)


@pytest.mark.parametrize(
    "path", ["./none", "~/none", "none.pt", "a/b/c", "/none", "", "a b", "a\0b"]
)
def test_a_path_to_nothing_is_not_looked_for_on_the_hub(monkeypatch, path):
    monkeypatch.setattr(loading, "hub_answers", None)

    with pytest.raises(CheckpointNotFoundError, match="no file or folder"):
        loading_options(path)
