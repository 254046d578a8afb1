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
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL

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


@pytest.fixture
def parts(monkeypatch, tmp_path):
    """A folder of graphs of `sam2-hiera-micro` that compute nothing, and npm's files."""
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    for name in {name for names in build.RUNTIMES.values() for name in names}:
        (runtime / name).write_text(name, encoding="utf-8")
    monkeypatch.setattr(build, "fetch_runtime", lambda: runtime)
    graphs = tmp_path / "graphs"
    graphs.mkdir()
    about = {"sam2_hf.model": SMALL_MODEL, "sam2_hf.image_size": "32"}
    about |= {"sam2_hf.pixels": "{}", "sam2_hf.config": "{}"}
    for name in build.GRAPHS:
        model = helper.make_model(helper.make_graph([], name, [], []))
        helper.set_model_props(model, about)
        onnx.save(model, graphs / f"{name}.onnx")
    return graphs


def test_a_folder_that_holds_something_else_is_not_replaced(parts, tmp_path):
    target = tmp_path / "thesis"
    (target / "model").mkdir(parents=True)
    (target / "model" / "model.json").write_text("{}", encoding="utf-8")

    with pytest.raises(BuildError, match="holds something other than a page"):
        build.build(target, SMALL_MODEL, parts)

    assert (target / "model" / "model.json").read_text(encoding="utf-8") == "{}"
    with pytest.raises(BuildError, match="holds something other than a page"):
        build.build(parts / "no_memory.onnx", SMALL_MODEL, parts)


def test_an_earlier_page_stays_until_the_new_one_is_ready(parts, tmp_path):
    target = tmp_path / "dist"
    build.build(target, SMALL_MODEL, parts)
    (target / "old.txt").write_text("old", encoding="utf-8")
    (parts / "memory_encoder.onnx").rename(tmp_path / "elsewhere.onnx")

    with pytest.raises(BuildError, match="could not be written"):
        build.build(target, SMALL_MODEL, parts)
    assert (target / "old.txt").exists()
    assert (target / build.ABOUT).exists()

    (tmp_path / "elsewhere.onnx").rename(parts / "memory_encoder.onnx")
    build.build(target, SMALL_MODEL, parts)
    assert not (target / "old.txt").exists()
    assert not list(tmp_path.glob(".dist.*"))


def test_a_model_that_knows_no_boxes_is_known_by_its_own_name(parts, tmp_path):
    build.build(tmp_path / "dist", "./a-copy-of-it", parts)

    described = json.loads((tmp_path / "dist" / build.ABOUT).read_text(encoding="utf-8"))
    assert not described["knows_boxes"]


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
