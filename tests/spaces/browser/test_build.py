"""What the page is put together of, and the house rules for its own scripts."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from browser import build
from browser.build import BuildError, fetch_runtime, halve_weights

PAGE = Path(build.__file__).parent / "page"
SCRIPTS = sorted(PAGE.rglob("*.js"))
MAX_FILE_LINES, MAX_FUNCTION_LINES = 500, 50
FUNCTION = re.compile(
    r"^(?P<indent> *)(?:export )?(?:static )?(?:async )?"
    r"(?:function \w+|#?(?!if|for|while|switch|catch)\w+)\(.*\) \{$"
)


def function_lengths(text):
    """Lines of each function and method, found by the indent of its closing brace."""
    lines = text.splitlines()
    for first, line in enumerate(lines):
        found = FUNCTION.match(line)
        if found:
            ends = (k for k in range(first, len(lines)) if lines[k].rstrip(",") == closing(found))
            yield line.strip(), next(ends) - first + 1


def closing(found):
    return f"{found['indent']}}}"


def test_halved_weights_are_widened_again_and_small_ones_stay():
    large, small = np.linspace(-1, 1, 300, dtype=np.float32), np.float32([0.1])
    weights = [numpy_helper.from_array(large, "large"), numpy_helper.from_array(small, "small")]
    nodes = [helper.make_node("Mul", ["large", "small"], ["found"])]
    found = helper.make_tensor_value_info("found", TensorProto.FLOAT, [300])
    model = helper.make_model(helper.make_graph(nodes, "product", [], [found], weights))

    halve_weights(model)

    onnx.checker.check_model(model, full_check=True)
    types = {weight.name: weight.data_type for weight in model.graph.initializer}
    assert types == {"large_half": TensorProto.FLOAT16, "small": TensorProto.FLOAT}
    assert [node.op_type for node in model.graph.node] == ["Cast", "Mul"]


@pytest.mark.slow
def test_the_page_lists_every_file_that_it_downloads(built):
    described = json.loads((built / "model" / "model.json").read_text(encoding="utf-8"))
    files = [*described["graphs"], *described["runtimes"]["wasm"], *described["runtimes"]["webgpu"]]

    assert {file["name"]: (built / file["name"]).stat().st_size for file in files} == {
        file["name"]: file["bytes"] for file in files
    }
    assert sum(file["bytes"] for file in described["graphs"]) < 15 * 2**20
    assert not described["knows_boxes"]


def test_a_machine_without_npm_is_said_so(monkeypatch, tmp_path):
    monkeypatch.setattr(build, "HERE", tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    wanted = {"devDependencies": {"onnxruntime-web": "1.0.0"}}
    (tmp_path / "package.json").write_text(json.dumps(wanted), encoding="utf-8")

    with pytest.raises(BuildError, match="The page needs npm"):
        fetch_runtime()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_keeps_the_house_rules(script):
    text = script.read_text(encoding="utf-8")
    lengths = dict(function_lengths(text))

    assert text.startswith("/**")  # says what the file is
    assert len(text.splitlines()) <= MAX_FILE_LINES
    assert {name: count for name, count in lengths.items() if count > MAX_FUNCTION_LINES} == {}
    assert not re.search("https?:", text)  # nothing comes from elsewhere


def test_every_script_is_one_that_node_can_read(tmp_path):
    if shutil.which("node") is None:
        pytest.skip("needs node: apt-get install nodejs")
    for script in SCRIPTS:
        module = shutil.copyfile(script, tmp_path / f"{script.stem}.mjs")
        subprocess.run(["node", "--check", module], check=True, timeout=60)
