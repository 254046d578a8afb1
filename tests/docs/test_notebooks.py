"""The notebooks run on the bundled model, and hold no outputs."""

import os
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
# A small model, little to do, and thresholds that it reaches.
IN_TESTS = {
    'MODEL = "facebook/sam2.1-hiera-tiny"': 'MODEL = "sam2-hiera-micro"',
    "STEPS = 60": "STEPS = 2",
    "POINTS = 16": "POINTS = 4",
    "QUALITY, STABILITY = 0.7, 0.8": "QUALITY, STABILITY = 0.2, 0.0",
}
SECONDS = 300  # for a cell, on a busy machine


@pytest.fixture
def kernel_environment(monkeypatch):
    """One thread, no network, no window; the kernel finds what this process does."""
    for name, value in {
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(
            [str(FOLDER.parent / "src"), os.environ.get("PYTHONPATH", "")]
        ),
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.slow
@pytest.mark.usefixtures("kernel_environment")
@pytest.mark.filterwarnings("default")  # of the client, none of which is ours
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_to_its_end(path, tmp_path):
    client = pytest.importorskip("nbclient")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for given, instead in IN_TESTS.items():
            cell.source = cell.source.replace(given, instead)

    client.NotebookClient(
        notebook, timeout=SECONDS, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]

    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert "google.colab" in code[0].source


def test_there_are_five_notebooks():
    names = {path.stem for path in NOTEBOOKS}

    assert names == {"photo", "video", "everything", "finetune", "evaluate"}
