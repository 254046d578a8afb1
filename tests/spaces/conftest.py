"""A server of the Space in a process of its own, and a real browser to look at it."""

import os
import shutil
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.spaces.looking import SECONDS

ROOT = Path(__file__).parents[2]
LIMITS = ("--seconds", "8", "--megapixels", "50", "--objects", "3", "--file-mb", "20")
LIMITS += ("--jobs", "1", "--grace-seconds", "3")
START_SECONDS = 120


@dataclass(frozen=True)
class Server:
    """A running server."""

    address: str
    files: Path  # folder of everything that visitors have


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    temporary = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    alone = tmp_path_factory.mktemp("hub") / "space"  # as the Hub has it: nothing else around it
    shutil.copytree(ROOT / "spaces", alone, ignore=shutil.ignore_patterns("__pycache__", "browser"))
    command = [sys.executable, "app.py", "--port", str(port), *LIMITS]
    environment = {**os.environ, "TMPDIR": str(temporary)}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment, cwd=alone
    )
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    try:
        too_late = threading.Timer(START_SECONDS, process.kill)
        too_late.start()
        line = process.stdout.readline()
        too_late.cancel()
        assert line.startswith("Open http"), line
        reader.start()  # or the pipe would fill up
        (files,) = temporary.glob("sam2-space-*")
        yield Server(line.split()[1], files)
    finally:
        process.terminate()
        process.wait(START_SECONDS)
        if reader.is_alive():
            reader.join(START_SECONDS)
        process.stdout.close()
    assert not list(temporary.glob("sam2-space-*"))  # nothing of a visitor outlives the server


@pytest.fixture
def page(browser, server):
    """The page in a browser of its own, which must not call anybody else."""
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    called, refused = [], []
    context.on("request", lambda request: called.append(request.url))
    context.on("console", lambda said: refused.append(said.text) if "Policy" in said.text else None)
    context.set_default_timeout(SECONDS)
    opened = context.new_page()
    opened.goto(server.address)
    opened.wait_for_selector("#photo-input")
    yield opened
    context.close()
    own = (server.address, "data:", "blob:" + server.address)
    assert [url for url in called if not url.startswith(own)] == []
    assert refused == []  # by the page's own policy of what it may load
