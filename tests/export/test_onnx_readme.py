"""The README beside ONNX graphs: its commands name every dimension that varies."""

import re

import pytest

from sam2_hf.export.graphs import graphs_of
from sam2_hf.export.onnx_readme import dimension_sizes, onnx_readme, trtexec_command

ABOUT = {"sam2_hf.model": "small", "sam2_hf.image_size": "64", "sam2_hf.dtype": "float16"}


@pytest.fixture(scope="module")
def graphs(small_model):
    return graphs_of(small_model)


def test_an_engine_is_told_the_shapes_of_every_input_that_varies(small_model, graphs):
    sizes = dimension_sizes(small_model)
    for graph in graphs:
        command = trtexec_command(graph, sizes)

        assert command.startswith(f"trtexec --onnx={graph.name}.onnx ")
        for place, option in enumerate(("min", "opt", "max")):
            given = re.search(rf"--{option}Shapes=(\S+)", command)
            shapes = dict(one.split(":") for one in given[1].split(",")) if given else {}
            assert set(shapes) == set(graph.dynamic)
            for name, shape in shapes.items():
                wanted = list(graph.inputs[name].shape)
                for dimension, kind in graph.dynamic[name].items():
                    wanted[dimension] = sizes[kind][place]
                assert [int(side) for side in shape.split("x")] == wanted


def test_the_commands_are_said_to_be_untested(small_model, graphs):
    text = onnx_readme(small_model, graphs, ABOUT, "small-onnx")

    assert "untested" in text
    assert text.count("trtexec --onnx=") == len(graphs)
    assert 'OnnxSam2.from_pretrained("small-onnx")' in text
    assert "| memories | 1 | 7 | 14 |" in text


def test_an_export_has_a_readme(exported):
    text = (exported / "README.md").read_text()

    assert "sam2-hiera-micro for inputs of 256 x 256 pixels" in text
    assert "--maxShapes=spatial:8x14x64x16x16" in text
