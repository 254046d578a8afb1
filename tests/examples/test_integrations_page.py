"""The recipes of docs/how-to/integrations.md, on stand-ins of the tools and on the tools.

The stand-ins have the documented signatures. `pip install --target FOLDER rerun-sdk napari
supervision`, `PYTHONPATH=FOLDER` and `PYTEST_DISABLE_PLUGIN_AUTOLOAD=1` let the tools themselves
run; without them those tests are skipped.
"""

import contextlib
import importlib
import shlex
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from huggingface_hub.cli.hf import app as hub_app
from PIL import Image

from examples.label_studio_backend import photos, videos
from examples.label_studio_backend.labeling_config import answer_tag, shows
from sam2_hf import Sam2VideoModel, VideoSession, pipeline
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from tests.docs.blocks import blocks_of, run
from tests.docs.files import NUM_FRAMES, write_files

PAGE = Path(__file__).parents[2] / "docs/how-to/integrations.md"
BLOCKS = blocks_of(PAGE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return write_files(tmp_path_factory.mktemp("files"))


@pytest.fixture
def folder(files, tmp_path, monkeypatch):
    for name in ("coffee.jpg", "clip.mp4"):
        shutil.copyfile(files / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def use(folder, monkeypatch):
    """A function that runs the recipe of a tool, on a stand-in if there is one."""

    def run_recipe(tool, stand_in=None):
        if stand_in is not None:
            module = ModuleType(tool)
            vars(module).update(stand_in)
            monkeypatch.setitem(sys.modules, tool, module)
        (block,) = (block for block in BLOCKS if f"import {tool}" in block.code)
        names = {"__name__": "page"}
        run(block, names)
        return names

    return run_recipe


def tracked(clip, *clicks):
    """Return the masks of each frame, of objects numbered from 1."""
    model = Sam2VideoModel.from_pretrained(SMALL_MODEL).eval()
    with VideoSession.open(clip, model) as session:
        for object_id, xy in enumerate(clicks, 1):
            session.click(frame=0, object_id=object_id, xy=xy)
        return [result.masks for result in session.propagate()]


@pytest.fixture(scope="module")
def cup(files):
    segment = pipeline("image-segmentation", model=SMALL_MODEL)
    return segment(str(files / "coffee.jpg"), points=(290, 225)).best


def recorder(calls, name):
    """A constructor that keeps what it was given."""

    def make(*values, **named):
        calls.append((name, values, named))
        return SimpleNamespace(kind=name, values=values, **named)

    return make


class Annotator:
    def annotate(self, scene, detections, custom_color_lookup=None):
        return scene.copy()


@pytest.mark.usefixtures("one_thread")
def test_supervision_gets_the_mask_of_the_pipeline(use, folder, cup):
    stand_in = {"Detections": recorder([], "Detections")}
    stand_in |= {"MaskAnnotator": Annotator, "LabelAnnotator": Annotator}

    detections = use("supervision", stand_in)["detections"]

    np.testing.assert_array_equal(detections.mask, [cup])
    assert detections.data["class_name"].tolist() == ["cup"]
    assert (folder / "annotated.png").exists()


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore")
def test_supervision_itself_draws_the_mask(use, folder, cup):
    pytest.importorskip("supervision", reason="supervision is not installed")

    use("supervision")

    pictures = [np.asarray(Image.open(folder / name)) for name in ("annotated.png", "coffee.jpg")]
    changed = (pictures[0] != pictures[1]).any(axis=2)
    assert changed[cup].mean() > 0.9
    assert changed[~cup].mean() < 0.1  # the label


class Sample(dict):
    def __init__(self, filepath):
        super().__init__(filepath=filepath)


class Dataset(list):
    def __init__(self, name=None):
        self.name = name

    def add_sample(self, sample):
        self.append(sample)


@pytest.mark.usefixtures("one_thread")
def test_fiftyone_gets_a_sample_with_the_mask_in_its_box(use, cup):
    calls = []
    constructors = {name: recorder(calls, name) for name in ("Detection", "Detections")}

    (sample,) = use("fiftyone", {"Sample": Sample, "Dataset": Dataset, **constructors})["dataset"]

    (detection,) = sample["sam2"].detections
    assert (sample["filepath"], detection.label) == ("coffee.jpg", "cup")
    left, top, width, height = np.array(detection.bounding_box) * (600, 400, 600, 400)
    assert detection.mask.shape == (round(height), round(width))
    assert cup[round(top) :, round(left) :][: round(height), : round(width)].sum() == cup.sum()
    assert detection.mask.sum() == cup.sum()


@pytest.mark.usefixtures("one_thread")
def test_rerun_gets_the_masks_of_each_frame(use, folder):
    calls, logged = [], []
    kinds = ("AnnotationContext", "Image", "SegmentationImage", "Scalars")

    def log(entity_path, entity, *extra, static=False):
        logged.append((entity_path, entity))

    stand_in = {"init": lambda application_id, *, spawn=False: None, "save": lambda path: None}
    stand_in |= {"set_time": lambda timeline, *, sequence: calls.append(sequence), "log": log}
    use("rerun", stand_in | {kind: recorder([], kind) for kind in kinds})

    assert calls == list(range(NUM_FRAMES))
    masks = tracked(folder / "clip.mp4", (95, 238), (389, 119))
    seen = [entity.values[0] for path, entity in logged if path == "clip/masks"]
    for labels, expected in zip(seen, masks, strict=True):
        np.testing.assert_array_equal(labels == 2, expected[2])
        np.testing.assert_array_equal(labels == 1, expected[1] & ~expected[2])


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore")
def test_rerun_itself_writes_a_recording(use, folder):
    rerun = pytest.importorskip("rerun", reason="rerun-sdk is not installed")

    use("rerun")
    rerun.disconnect()

    assert (folder / "clip.rrd").stat().st_size > 10_000


class Layer:
    def __init__(self, data):
        self.data = data

    def refresh(self):
        pass


class Viewer:
    def add_image(self, data, *, name, rgb):
        assert data.shape[-1] == 3
        return Layer(data)

    def add_labels(self, data, *, name, opacity):
        return Layer(data)

    def add_points(self, data, *, name, size):
        return Layer(data)


def check_napari(names):
    masks = tracked("clip.mp4", (95, 238))
    for labels, expected in zip(names["masklets"].data, masks, strict=True):
        np.testing.assert_array_equal(labels == 1, expected[1])
    names["session"].close()


@pytest.mark.usefixtures("one_thread")
def test_napari_gets_a_labels_layer_with_the_masklet(use):
    check_napari(use("napari", {"Viewer": Viewer}))


@pytest.mark.usefixtures("one_thread")
@pytest.mark.filterwarnings("ignore")
def test_the_layers_of_napari_itself_hold_the_masklet(use, monkeypatch):
    """Its viewer without the window."""
    napari = pytest.importorskip("napari", reason="napari is not installed")
    model = importlib.import_module("napari.components").ViewerModel
    monkeypatch.setattr(napari, "Viewer", model, raising=False)

    check_napari(use("napari"))


def test_the_labeling_configs_have_the_tags_that_the_backend_answers():
    photo, video = (block.code for block in BLOCKS if block.language == "xml")

    assert (shows(photo, "Video"), shows(video, "Video")) == (False, True)
    assert answer_tag(photo, photos.ANSWER_TAGS, "Image").field == "image"
    polygons = photo.replace("BrushLabels", "PolygonLabels")
    assert answer_tag(polygons, photos.ANSWER_TAGS, "Image").kind == "PolygonLabels"
    assert answer_tag(video, videos.ANSWER_TAGS, "Video").field == "video"


def jobs():
    """The words of each `hf jobs run` on the page."""
    return [
        words for block in BLOCKS for words in block.commands if words[:3] == ["hf", "jobs", "run"]
    ]


def test_the_command_of_the_hub_knows_the_flags_and_flavors_of_jobs():
    command = hub_app.get_command(None, "jobs").get_command(None, "run")

    assert len(jobs()) == 2
    for words in jobs():
        with command.make_context("run", words[3:], resilient_parsing=False) as context:
            assert context.params["image"].startswith("pytorch/pytorch:")
            assert len(context.params["volume"]) == 3


def test_the_programs_in_jobs_know_their_flags(monkeypatch, capsys):
    for words in jobs():
        inner = shlex.split(words[-1])
        place = inner.index("-m")
        program, *arguments = inner[place + 1 :]
        if "install" in arguments:
            program, *arguments = inner[inner.index("-m", place + 1) + 1 :]
        monkeypatch.setattr(sys, "argv", [program, "--help"])
        with contextlib.suppress(SystemExit):
            importlib.import_module(program).main()
        known = capsys.readouterr().out
        assert [flag for flag in arguments if flag.startswith("--") and flag not in known] == []
