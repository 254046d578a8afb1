"""What is imported with a model: nothing that only a later step needs."""

import json
import subprocess
import sys

from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL

# transformers' own base class imports scipy, accelerate, torch._dynamo and sympy
OF_LATER_STEPS = {
    "av": "videos",
    "pycocotools": "run-length masks",
    "gradio": "the page",
    "datasets": "training",
    "onnx": "export",
    "onnxruntime": "export",
    "openvino": "export",
    "peft": "adapters",
    "matplotlib": "figures",
    "argcomplete": "the command line",
    "torchvision": "nothing",
    "cv2": "nothing",
}
LOAD = """
import json, sys
from sam2_hf import Sam2VideoModel
import transformers.modeling_utils
base = set(sys.modules)
Sam2VideoModel.from_pretrained(sys.argv[1])
ours = sorted(name for name in sys.modules if name.startswith("sam2_hf."))
others = sorted(set(sys.modules) - base - set(ours))
print(json.dumps([sorted({name.partition(".")[0] for name in sys.modules}), ours, others]))
"""


def test_a_model_loads_without_what_only_later_steps_need():
    command = [sys.executable, "-c", LOAD, SMALL_MODEL]

    done = subprocess.run(command, capture_output=True, text=True, check=True)

    packages, ours, later = json.loads(done.stdout.splitlines()[-1])
    assert not OF_LATER_STEPS.keys() & set(packages)
    assert {name.split(".")[1] for name in ours} == {"errors", "hub_code", "model", "version"}
    assert {name.partition(".")[0] for name in later} <= {"safetensors", "multiprocessing"}
