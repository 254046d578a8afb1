"""What `import sam2_hf` offers, what it costs, and what it leaves alone."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sam2_hf

ROOT = Path(__file__).parents[1]
MAX_IMPORT_SECONDS = 0.3
PUBLIC_NAMES = [
    "CheckpointError",
    "Click",
    "Detection",
    "DetectionError",
    "EdgeTamConfig",
    "EdgeTamVideoConfig",
    "EfficientTamConfig",
    "EfficientTamVideoConfig",
    "EncodedImage",
    "Explanation",
    "FrameError",
    "FrameResult",
    "FrameToReview",
    "GeneratedMask",
    "GeneratedMasks",
    "ImageError",
    "ImageSegmentationPipeline",
    "KnownObject",
    "LiveFrames",
    "MaskGenerationPipeline",
    "Masklet",
    "NoPromptError",
    "ObjectLibrary",
    "ObjectPrompt",
    "OutputError",
    "ProcessorError",
    "PromptError",
    "Reference",
    "ReviewRules",
    "RunComparison",
    "Sam2Config",
    "Sam2Error",
    "Sam2HieraDetConfig",
    "Sam2HieraDetModel",
    "Sam2HieraDetModelOutput",
    "Sam2ImageProcessor",
    "Sam2ImageSegmentationOutput",
    "Sam2MaskDecoderConfig",
    "Sam2Model",
    "Sam2PreTrainedModel",
    "Sam2Processor",
    "Sam2PromptEncoderConfig",
    "Sam2VideoConfig",
    "Sam2VideoInferenceSession",
    "Sam2VideoMaskDecoderConfig",
    "Sam2VideoModel",
    "Sam2VideoPreTrainedModel",
    "Sam2VideoProcessor",
    "Sam2VideoPromptEncoderConfig",
    "Sam2VideoSegmentationOutput",
    "Sam2VideoVideoProcessor",
    "Sam2VisionConfig",
    "Sam2VisionEncoderOutput",
    "Sam2VisionModel",
    "Sam3TrackerConfig",
    "Sam3TrackerVideoConfig",
    "SessionError",
    "SessionOptions",
    "TextTracker",
    "UnknownObjectError",
    "VideoError",
    "VideoEverythingOptions",
    "VideoMaskGenerationPipeline",
    "VideoPrompt",
    "VideoSegmentation",
    "VideoSegmentationPipeline",
    "VideoSession",
    "ZeroShotDetector",
    "ZeroShotScorer",
    "__version__",
    "compare_runs",
    "pipeline",
    "register",
    "suppress_overlaps",
    "to_int8",
]

STATE = """
import json, locale, logging, os, random, signal, sys, warnings
import numpy, torch, transformers
from transformers.models.auto import configuration_auto, image_processing_auto, modeling_auto
from transformers.models.auto import processing_auto
from transformers.pipelines import PIPELINE_REGISTRY

def contents(module):
    return {
        name: [str(mapping._extra_content), sorted(map(str, mapping.keys()))]
        for name, mapping in vars(module).items()
        if hasattr(mapping, "_extra_content")
    }

def state():
    autos = (configuration_auto, image_processing_auto, modeling_auto, processing_auto)
    return {
        "mappings": [contents(module) for module in autos],
        "tasks": str(PIPELINE_REGISTRY.supported_tasks),
        "aliases": str(PIPELINE_REGISTRY.task_aliases),
        "torch": [torch.get_num_threads(), str(torch.get_default_dtype()),
                  torch.is_grad_enabled(), torch.get_float32_matmul_precision()],
        "random": [str(random.getstate()), str(torch.get_rng_state())],
        "numpy random": str(numpy.random.get_state()),
        "numpy": str(numpy.get_printoptions()),
        "environment": dict(os.environ),
        "warnings": str(warnings.filters),
        "logging": [logging.root.level, str(logging.root.handlers)],
        "path": sys.path[:],
        "signals": [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
    }
"""


def run(*arguments):
    """Run Python in a fresh process that finds the package where this one does."""
    source = str(Path(sam2_hf.__file__).parents[1])
    search = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": search}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    return done


def names_for_type_checkers() -> list[str]:
    tree = ast.parse(Path(sam2_hf.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    return [alias.asname for statement in block.body for alias in statement.names]


def test_the_public_names_are_exactly_these():
    assert sorted(sam2_hf.__all__) == sorted(PUBLIC_NAMES)


@pytest.mark.parametrize("name", PUBLIC_NAMES)
def test_every_public_name_loads(name):
    assert getattr(sam2_hf, name) is not None
    assert name in dir(sam2_hf)


def test_type_checkers_see_the_same_names_as_programs():
    assert sorted([*names_for_type_checkers(), "__version__"]) == sorted(sam2_hf.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Sam3Model'"):
        sam2_hf.Sam3Model  # noqa: B018


def test_importing_loads_neither_torch_nor_transformers():
    code = "import json, sys, sam2_hf; print(json.dumps(sorted(sys.modules)))"

    loaded = json.loads(run("-c", code).stdout)

    assert not {"torch", "transformers", "numpy", "PIL", "scipy"} & set(loaded)


def test_importing_and_loading_every_name_changes_no_global_state():
    code = STATE + (
        "before = json.dumps(state())\n"
        "import sam2_hf\n"
        "after_import = json.dumps(state())\n"
        "loaded = [getattr(sam2_hf, name) for name in sam2_hf.__all__]\n"
        "print(before == after_import, before == json.dumps(state()))\n"
    )

    assert run("-c", code).stdout.split() == ["True", "True"]


def test_importing_is_quick():
    """Counts everything Python does from its start; the best of three, as machines get busy."""

    def seconds() -> float:
        report = run("-X", "importtime", "-c", "import sam2_hf").stderr
        own = re.findall(r"^import time: +(\d+) \|", report, flags=re.MULTILINE)
        return sum(map(int, own)) / 1e6

    assert min(seconds() for _ in range(3)) < MAX_IMPORT_SECONDS
