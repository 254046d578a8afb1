"""Opening graphs for OpenVINO: everything that can be wrong with the files is one line.

Those for ONNX Runtime are in test_graph_folder.py.
"""

import shutil
import subprocess
import sys

import pytest

from sam2_hf.errors import ExportError
from sam2_hf.pipelines.loading import load_video_model


@pytest.fixture
def folder(exported_openvino, tmp_path):
    """A copy of the export to be damaged."""
    return shutil.copytree(exported_openvino, tmp_path / "export")


def refuse(folder, words):
    with pytest.raises(ExportError, match=words) as caught:
        load_video_model(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_folder_for_two_runtimes_is_refused(folder, exported):
    shutil.copyfile(exported / "no_memory.onnx", folder / "no_memory.onnx")

    refuse(folder, "has graphs for ONNX Runtime and OpenVINO. Export each")


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_missing_file_is_named(folder, suffix):
    (folder / f"mask_decoder{suffix}").unlink()

    refuse(folder, f"no graph mask_decoder{suffix}")


@pytest.mark.parametrize("part", [0, 0.5, 0.9999])
@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_a_truncated_file_is_refused(folder, suffix, part):
    path = folder / f"mask_decoder{suffix}"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])

    refuse(folder, r"mask_decoder\.")


def test_weights_of_another_graph_are_refused(folder):
    path = folder / "mask_decoder.bin"
    weights = bytearray(path.read_bytes())
    weights[len(weights) // 2] ^= 1
    path.write_bytes(weights)

    refuse(folder, r"mask_decoder\.bin is damaged, or not that of mask_decoder\.xml")


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        (
            'sam2_hf.weights value="',
            'sam2_hf.weights value="0',
            "a different model .* different weights",
        ),
        ('sam2_hf.graph value="', 'sam2_hf.graph value="x', r"is not the graph mask_decoder"),
        ("sam2_hf.format", "sam2_hf.other", "no format"),
    ],
)
def test_a_graph_of_another_model_is_refused(folder, before, after, words):
    path = folder / "mask_decoder.xml"
    path.write_text(path.read_text().replace(before, after))

    refuse(folder, words)


SIGNAL_AFTER_CLOSING = """
import os, signal, sys
from pathlib import Path
from sam2_hf.export.graph_runtimes import OpenVinoGraph
graphs = [OpenVinoGraph(Path(path)) for path in sys.argv[1:]]
while graphs:
    graphs.pop(0)
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""


def test_signals_are_handled_after_graphs_are_closed(exported_openvino):
    graphs = [str(exported_openvino / name) for name in ("no_memory.xml", "mask_decoder.xml")]

    done = subprocess.run(
        [sys.executable, "-c", SIGNAL_AFTER_CLOSING, *graphs],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr
