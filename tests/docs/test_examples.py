"""Every public function has an example in its docstring, and all examples run."""

import doctest
import inspect
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

import sam2_hf
from sam2_hf import original
from sam2_hf.everything.everything_tracker import EverythingTracker
from sam2_hf.everything.scene_cuts import find_scene_cuts
from sam2_hf.frames.open import open_frames
from sam2_hf.model.configs.configuration_sam2 import with_image_size
from sam2_hf.original import build_sam
from sam2_hf.original.automatic_mask_generator import SAM2AutomaticMaskGenerator
from sam2_hf.original.sam2_camera_predictor import SAM2CameraPredictor
from sam2_hf.original.sam2_image_predictor import SAM2ImagePredictor
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor
from sam2_hf.results.frame_masks import FrameMasks
from sam2_hf.writers.mp4 import video_writer

DOCS = Path(__file__).parents[2] / "docs"
OTHERS = [
    open_frames,
    with_image_size,
    FrameMasks,
    EverythingTracker,
    find_scene_cuts,
    original.install,
    original.uninstall,
    build_sam.build_sam2,
    build_sam.build_sam2_hf,
    build_sam.build_sam2_video_predictor,
    build_sam.build_sam2_video_predictor_hf,
    build_sam.build_sam2_camera_predictor,
    SAM2ImagePredictor,
    SAM2VideoPredictor,
    SAM2AutomaticMaskGenerator,
    SAM2CameraPredictor,
]
# Their files have no room for examples; these pages have one for each method, and are run too.
PAGES = {
    "VideoSession": DOCS / "reference/session-examples.md",
    "VideoSegmentation": DOCS / "reference/tracked-video-examples.md",
    "Sam2VideoInferenceSession": DOCS / "reference/transformers-session-examples.md",
}
# Methods that other parts of the package or transformers call, not users. Only ever shrinks.
CALLED_BY_THE_PACKAGE = {
    "FrameResult": {"of_outputs", "start_host_copy", "finish_host_copy"},
    "LiveFrames": {
        *("comparable_frames", "use_preprocessing", "set_value_range", "declare_size", "put"),
        *("drop", "may_come", "go_on_from", "reaches", "require", "time", "expect", "has_pixels"),
    },
    "ImageSegmentationPipeline": {"option_names", "check_options"},
    "MaskGenerationPipeline": {"option_names", "check_options"},
    "VideoSegmentationPipeline": {"option_names", "check_options"},
    "VideoMaskGenerationPipeline": {"option_names", "check_options"},
    "ObjectPrompt": {"labeled_points", "check", "low_res_mask"},
    "SessionOptions": {"require_same_fixed"},
    "Sam2PreTrainedModel": {"get_init_context"},
    "Sam2VideoPreTrainedModel": {"get_init_context"},
    "Sam2Model": {
        *("decode_prompts", "decode_gated", "get_input_embeddings", "read_sizes"),
        "get_init_context",
    },
    "Sam2VideoModel": {
        *("memory_tokens", "memory_tiles", "get_input_embeddings", "read_sizes"),
        "get_init_context",
    },
    "Sam2VisionModel": {"encode", "forward", "get_input_embeddings", "get_init_context"},
    "Sam2HieraDetModel": {"forward", "set_drop_path", "get_input_embeddings", "get_init_context"},
    "Sam2VideoProcessor": {"check_argument_for_proper_class"},
    "Sam2VideoVideoProcessor": {"sample_frames"},
    "Sam2VideoInferenceSession": {"segment_frame", "iterate_frames", "use_model"},
    "SAM2VideoPredictor": {"propagate_in_video_preflight"},
    "SAM2CameraPredictor": {"propagate_in_video_preflight"},
}
# Results whose docstrings have no example yet. Only ever shrinks.
STILL_WITHOUT = {
    *(f"GeneratedMasks.{name}" for name in ("as_records", "get", "items", "keys", "values")),
    "GeneratedMask.as_record",
}


def public_objects():
    """Yield the functions and classes that users import."""
    for name in sam2_hf.__all__:
        value = getattr(sam2_hf, name)
        is_plain = not inspect.isclass(value) or not issubclass(value, Exception)
        if callable(value) and is_plain and not name.endswith(("Config", "Output")):
            yield value
    yield from OTHERS


def methods_of(kind):
    """Yield the name and the function of each public method, those of our base classes too."""
    seen = set()
    for owner in kind.__mro__:
        if not owner.__module__.startswith("sam2_hf"):
            continue
        for name, member in vars(owner).items():
            function = getattr(member, "__func__", member)
            is_ours = inspect.isfunction(function) and function.__module__.startswith("sam2_hf")
            is_public = not name.startswith("_") or name == "__call__"
            if is_public and is_ours and name not in seen:
                seen.add(name)
                if owner is kind or owner.__name__ != "VideoSession":  # has examples of its own
                    yield name, function


def public_functions():
    """Yield what needs an example: its name, and its docstring or the page that has examples."""
    for value in public_objects():
        if not inspect.isclass(value):
            yield value.__name__, value.__doc__
            continue
        page = PAGES[value.__name__].read_text() if value.__name__ in PAGES else None
        hidden = CALLED_BY_THE_PACKAGE.get(value.__name__, set())
        for name, function in methods_of(value):
            if name not in hidden:
                has_example = page is not None and f".{name}(" in page
                yield f"{value.__name__}.{name}", ">>>" if has_example else function.__doc__


def examples():
    """List all examples by name; those of a base class once.

    `register` changes transformers for good; tests/pipelines/test_registry.py calls it elsewhere.
    """
    finder, found = doctest.DocTestFinder(recurse=False), {}
    configs = [sam2_hf.Sam2Config, sam2_hf.Sam2VideoConfig]
    for value in [*public_objects(), *configs]:
        if value is sam2_hf.register:
            continue
        members = [(value.__name__, value)]
        if inspect.isclass(value):
            members += [(f"{value.__name__}.{name}", f) for name, f in methods_of(value)]
        for name, member in members:
            for test in finder.find(member, name, globs={}):
                if test.examples:
                    found.setdefault((test.filename, test.lineno), test)
    return {test.name: test for test in found.values()}


EXAMPLES = examples()


class MiddleDetector:
    """A detector that finds a cup in the middle of every picture."""

    def detect(self, image, labels):
        height, width = image.shape[:2]
        box = (width / 4, height / 4, 3 * width / 4, 3 * height / 4)
        return [sam2_hf.Detection(box, "cup", 0.9)] * ("cup" in labels)


class CupScorer:
    """A scorer to which everything is a cup."""

    def score(self, crops, labels):
        return np.array([[label == "cup" for label in labels]] * len(crops), np.float32)


def session_on(clip, model):
    session = sam2_hf.Sam2VideoInferenceSession.open(clip, model)
    session.click(frame=0, object_id=1, xy=(115, 100))
    return session


@pytest.fixture(scope="module")
def names():
    """What the reference says that examples may use; the names of `sam2_hf` among it."""
    model = sam2_hf.Sam2VideoModel.from_pretrained("sam2-hiera-micro").eval()
    photo = Image.fromarray(data.coffee())
    views = [photo.crop((8 * number, 0, 560 + 8 * number, 400)) for number in range(3)]
    clip = [np.asarray(view.resize((240, 180))) for view in views]
    tracked = session_on(clip, model)
    for _ in tracked.propagate():
        pass
    size = {"height": model.image_size, "width": model.image_size}
    return {
        **{name: getattr(sam2_hf, name) for name in sam2_hf.__all__},
        **{value.__name__: value for value in OTHERS},
        "np": np,
        "torch": torch,
        "photo": photo,
        "pixels": sam2_hf.Sam2ImageProcessor(size=size)(photo, return_tensors="pt").pixel_values,
        "clip": clip,
        "tracked": tracked,
        "model": model,
        "detector": MiddleDetector(),
        "scorer": CupScorer(),
        "image_model": sam2_hf.Sam2Model.from_video_model(model),
    }


@pytest.fixture(scope="module")
def folder(names, tmp_path_factory):
    path = tmp_path_factory.mktemp("examples")
    names["photo"].save(path / "coffee.jpg")
    with video_writer(path / "clip.mp4", fps=8) as writer:
        for frame in names["clip"]:
            writer.write(frame)
    return path


@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_gives_what_it_says(name, names, folder, monkeypatch):
    monkeypatch.chdir(folder)
    test = EXAMPLES[name]
    test.globs = dict(names)
    if any("session" in example.source for example in test.examples):
        test.globs["session"] = session_on(names["clip"], names["model"])
    said = []

    with torch.no_grad():
        failed, tried = doctest.DocTestRunner(verbose=False).run(
            test, out=said.append, clear_globs=False
        )

    assert tried > 0
    assert failed == 0, "".join(said)


def test_every_public_function_has_an_example():
    without = {name for name, docstring in public_functions() if ">>>" not in (docstring or "")}

    assert without == STILL_WITHOUT


def test_every_method_that_only_the_package_calls_is_still_there():
    methods = {
        value.__name__: {name for name, _ in methods_of(value)}
        for value in public_objects()
        if inspect.isclass(value)
    }

    for owner, hidden in CALLED_BY_THE_PACKAGE.items():
        assert hidden <= methods[owner], owner
