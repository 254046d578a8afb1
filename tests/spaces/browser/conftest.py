"""The page built and served, and a browser that has its model ready.

`SAM2_HF_BROWSER_PAGE` names a page that was built already; without it, one is built here.
"""

import os
import shutil
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from browser.build import BuildError, build
from browser.serve import make_server
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from tests.export.conftest import bundled_model, exported, shared_folder  # noqa: F401 - fixtures
from tests.spaces.browser.visiting import SECONDS, wait_until_ready


@pytest.fixture(scope="session")
def built(request, tmp_path_factory):
    """The folder of the page; not to be changed."""
    if "SAM2_HF_BROWSER_PAGE" in os.environ:
        return Path(os.environ["SAM2_HF_BROWSER_PAGE"])
    if shutil.which("npm") is None:
        pytest.skip("needs npm: apt-get install nodejs npm")
    graphs = request.getfixturevalue("exported")
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "browser-page"
    with FileLock(f"{folder}.lock"):
        if not (folder / "model" / "model.json").exists():
            try:
                build(folder, SMALL_MODEL, graphs)
            except BuildError as error:
                pytest.skip(str(error))
    return folder


@pytest.fixture(scope="session")
def address(built):
    """Where the page is served."""
    with make_server(built, 0) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def watched(browser, address):
    """A visit of the page: `(context, what other hosts were asked, errors in the console)`."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(SECONDS)
    elsewhere, errors = [], []
    own = (address, "data:", f"blob:{address}")
    context.on(
        "request",
        lambda request: None if request.url.startswith(own) else elsewhere.append(request.url),
    )
    context.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    context.on("weberror", lambda error: errors.append(str(error.error)))
    yield context, elsewhere, errors
    context.close()


@pytest.fixture(scope="module")
def ready_page(watched, address):
    """The page with the model ready, one for all tests of a file."""
    page = watched[0].new_page()
    page.goto(address)
    wait_until_ready(page)
    return page


@pytest.fixture
def page(ready_page, watched):
    """The page on its first tab; a test leaves no error, and asks no other host."""
    ready_page.get_by_role("tab", name="Photo").click()
    yield ready_page
    assert watched[1] == []
    assert watched[2] == []
