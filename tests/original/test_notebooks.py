"""The original's notebooks, run to their end after a change of imports alone.

    pytest --original CHECKOUT tests/original/test_notebooks.py

Nothing of them is kept here. Matplotlib draws into memory; OpenCV, for their outlines, is
taken from the environment. The checkpoints they name are written for the occasion. By default these
hold the bundled small model, and the config in the cell is replaced by its name, which is printed;
`--original-size named` keeps the size that the cell names, with drawn weights, and takes very long
on a CPU. Weights are made sure of themselves, so that everything-mode keeps some masks.
"""

import importlib.util
import json
import re
from pathlib import Path

import matplotlib
import pytest
import torch
from golden_cases import seeded_weights
from matplotlib import pyplot

from sam2_hf import Sam2VideoModel
from sam2_hf.model.checkpoints.checkpoint_names import to_original

pytestmark = pytest.mark.filterwarnings("ignore")  # of matplotlib, which shows nothing

MICRO = "sam2-hiera-micro"
NOTEBOOKS = (
    "image_predictor_example",
    "automatic_mask_generator_example",
    "video_predictor_example",
)
IMPORTS = re.compile(r"^(\s*)(from|import) sam2\b", re.MULTILINE)
CHECKPOINT = re.compile(r"""["'](\.\./checkpoints/[^"']+\.pt)["']""")
CONFIG = re.compile(r"""["'](configs/[^"']+\.yaml)["']""")
IOU_HEAD = "sam_mask_decoder.iou_prediction_head.layers.2.bias"
FILTERS = re.compile(r"sam_mask_decoder\.output_hypernetworks_mlps\.\d\.layers\.2\.")
SURER = {"micro": 0.8, "named": 1.1}  # added to the logit of the predicted IoU: a few pass 0.8
STEEPER = 30.0  # factor of mask logits


def code_of(notebook):
    """The code cells as they are, but for lines that ask a shell or IPython for something."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return [re.sub(r"^(\s*)[!%].*$", r"\1pass", source, flags=re.MULTILINE) for source in sources]


def with_our_imports(source):
    return IMPORTS.sub(r"\1\2 sam2_hf.original", source)


def confident(weights, size):
    """Make weights sure of their masks, and the masks the same at any threshold nearby."""
    changed = dict(weights)
    changed[IOU_HEAD] = changed[IOU_HEAD] + SURER[size]
    for name in filter(FILTERS.match, weights):
        changed[name] = changed[name] * STEEPER
    return changed


def checkpoint(size, path):
    """Weights by their original names: the small model's, or drawn ones of a released size."""
    if size == "micro":
        return to_original(Sam2VideoModel.from_pretrained(MICRO).state_dict())
    return seeded_weights(Path(path).stem)


def prepare(sources, size, folder):
    """Write the checkpoints that cells name, and put the small model in the place of theirs."""
    for place, source in enumerate(sources):
        for path, config in zip(CHECKPOINT.findall(source), CONFIG.findall(source), strict=False):
            target = (folder / path).resolve()
            target.parent.mkdir(parents=True, exist_ok=True)
            torch.save({"model": confident(checkpoint(size, path), size)}, target)
            if size == "micro":
                print(f"{MICRO} stands in for {config}; --original-size named keeps that")  # noqa: T201
                sources[place] = source.replace(config, MICRO)
    return sources


def run(sources):
    """Run cells one after another, as a notebook does."""
    names = {"__name__": "__main__"}
    for number, source in enumerate(sources):
        exec(compile(with_our_imports(source), f"cell {number}", "exec"), names)
    return names


@pytest.fixture
def _drawing_into_memory(monkeypatch):
    matplotlib.use("Agg")
    yield
    pyplot.close("all")


def require(name, original):
    if importlib.util.find_spec("cv2") is None:
        pytest.skip("the notebooks draw with OpenCV, which is not installed")
    notebook = original.checkout / "notebooks" / f"{name}.ipynb"
    if not notebook.is_file():
        pytest.skip(f"the checkout has no {notebook.name}")
    return notebook


@pytest.mark.usefixtures("_drawing_into_memory")
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_notebook_of_the_original_runs_to_its_end(original, request, tmp_path, monkeypatch, name):
    notebook = require(name, original)
    size = request.config.getoption("--original-size")
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for part in ("images", "videos"):
        (folder / part).symlink_to(notebook.parent.resolve() / part)
    monkeypatch.chdir(folder)

    names = run(prepare(code_of(notebook), size, folder))

    assert names["predictor" if "predictor" in name else "mask_generator"].__module__.startswith(
        "sam2_hf.original"
    )
