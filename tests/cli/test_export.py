"""`sam2-hf export`: what it writes and prints; the work is tested in tests/export."""

import json

import pytest

from sam2_hf.cli import export as command, main
from sam2_hf.errors import ExportError
from sam2_hf.export import exported_folder
from sam2_hf.export.graph_runtimes import OPENVINO
from sam2_hf.export.onnx_files import FORMAT, GRAPHS
from sam2_hf.export.parity import Parity
from sam2_hf.pipelines.loading import load_model

ROW = Parity("one click", 1e-5, 1.0, 1.0, 0.002, 0.001)


@pytest.fixture
def written(monkeypatch):
    """What the writers are called with, in place of the calls."""
    calls = []

    def export(model, folder, *, dtype, fixed, on_graph):
        calls.append((model.image_size, dtype, fixed))
        on_graph("image_encoder")
        folder.mkdir()
        (folder / "image_encoder.onnx").write_bytes(b"graph")
        return folder

    monkeypatch.setattr(command, "export_onnx", export)
    monkeypatch.setattr(command, "export_openvino", export)
    return calls


@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_a_model_is_exported_as_asked(written, tmp_path, capsys, kind):
    asked = ["export", "sam2-hiera-micro", str(tmp_path / "out"), "--dtype", "int8"]

    assert main([*asked, "--image-size", "128", "--format", kind, "--fixed"]) == 0

    assert written == [(128, "int8", True)]
    shown = capsys.readouterr()
    assert "image_encoder.onnx  0.0 MiB" in shown.out
    assert "exporting image_encoder" in shown.err


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--format", "openvion"], "there is no export to 'openvion'. Choose onnx, openvino"),
        (["--dtype", "int4"], "invalid choice: 'int4'"),
        (["--format", "tensorrt"], "tensorrt is not written here: trtexec reads the ONNX files"),
        (["--format", "coreml"], "README.md in that folder has the commands, which are untested"),
        (["--format", "aotinductor", "--dtype", "int8"], "aotinductor keeps float32, not int8"),
        (["--format", "torchscript", "--fixed"], "torchscript has no fixed shapes"),
        (["--push-to-hub", "a/b/c"], "'a/b/c' is not a valid name for a Hub repo"),
        (["--image-size", "100"], "multiple of 32"),
    ],
)
def test_what_cannot_be_exported_is_one_line(written, tmp_path, capsys, extra, words):
    assert main(["export", "sam2-hiera-micro", str(tmp_path / "out"), *extra]) == 2

    error = capsys.readouterr().err.splitlines()[-1]
    assert words in error
    assert not written


def test_a_check_of_an_empty_folder_says_what_is_missing(tmp_path, capsys):
    assert main(["export", "check", str(tmp_path)]) == 2

    assert f"has no graph {GRAPHS[0]}.onnx" in capsys.readouterr().err


class Graphs:
    """An opened export of the bundled model."""

    def __init__(self, folder):
        self.folder, self.image_size, self.runtime = folder, 256, OPENVINO
        self.about = {
            "sam2_hf.format": FORMAT,
            "sam2_hf.model": "sam2-hiera-micro",
            "sam2_hf.weights": "right",
            "sam2_hf.dtype": "float32",
            "sam2_hf.opset": "20",
        }


@pytest.mark.parametrize(
    ("row", "code", "word"),
    [
        (ROW, 0, "equal to the model"),
        (Parity("one click", 1.0, 0.9, 0.8, 0.002, 0.001), 2, "not equal to the model"),
    ],
)
def test_a_check_is_a_table_and_a_verdict(monkeypatch, tmp_path, capsys, row, code, word):
    monkeypatch.setattr(exported_folder, "GraphFolder", Graphs)
    monkeypatch.setattr(exported_folder, "ExportedSam2", lambda graphs: graphs)
    monkeypatch.setattr(exported_folder, "weights_of", lambda model: "right")
    monkeypatch.setattr(exported_folder, "measure_parity", lambda model, graphs: iter([row]))

    assert main(["export", "check", str(tmp_path)]) == code

    shown = capsys.readouterr()
    lines = shown.out.splitlines()
    told = "is not equal to sam2-hiera-micro (one click: difference 1.0e+00, lowest IoU 0.8000)"
    assert (told in shown.err) == bool(code)
    assert lines[0] == "sam2-hiera-micro, 256 pixels, float32, OpenVINO, ONNX opset 20"
    assert lines[2].split()[:2] == ["one", "click"]
    assert lines[2].split()[-1] == "2.00"
    assert lines[-1] == word

    assert main(["export", "check", str(tmp_path), "--json"]) == code
    content = json.loads(capsys.readouterr().out)
    (check,) = content["results"][0]["checks"]
    assert (check["work"], check["is_equal"], content["exit_code"]) == ("one click", not code, code)
    assert main(["export", "check", str(tmp_path), "--quiet"]) == code
    assert capsys.readouterr().out == ""


def test_a_check_against_another_model_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(exported_folder, "GraphFolder", Graphs)
    monkeypatch.setattr(exported_folder, "weights_of", lambda model: "other")

    assert main(["export", "check", str(tmp_path)]) == 2

    assert "was not made from sam2-hiera-micro: the weights differ" in capsys.readouterr().err


def test_photo_graphs_are_exported_checked_and_pushed(tmp_path, monkeypatch, capsys):
    pushed = []

    def push(export, repo_id, rows, *, source, private):
        pushed.append((repo_id, len(rows), source, private))
        return f"https://hf.co/{repo_id}"

    monkeypatch.setattr(command, "push_export", push)
    out = str(tmp_path / "out")
    asked = ["--format", "torchscript", "--push-to-hub", "me/micro", "--private"]

    assert main(["export", "sam2-hiera-micro", out, *asked]) == 0
    assert "mask_decoder.pt  3.4 MiB" in (shown := capsys.readouterr().out)
    assert shown.splitlines()[-1] == "https://hf.co/me/micro"
    assert pushed == [("me/micro", 2, "sam2-hiera-micro", True)]

    assert main(["export", "check", out, "--push-to-hub", "me/again"]) == 0
    assert pushed[1] == ("me/again", 2, "sam2-hiera-micro", False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "sam2-hiera-micro, 256 pixels, float32, TorchScript"
    assert lines[-2:] == ["equal to the model", "https://hf.co/me/again"]

    with pytest.raises(ExportError, match=r"photo graphs.* Export to onnx"):
        load_model(out)
