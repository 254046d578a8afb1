"""Weights of 8 and 4 bits: which are changed, and which must not be."""

import shutil

import pytest

from sam2_hf.export.quantization import quantize

onnx = pytest.importorskip("onnx", reason="export needs it: pip install '.[export]'")
PRODUCTS = {"MatMul", "MatMulInteger", "MatMulNBits"}


@pytest.mark.parametrize("dtype", ["int8", "int8-weights", "int4-weights"])
def test_the_frequencies_of_clicks_stay_as_they_are(exported, tmp_path, dtype):
    path = shutil.copyfile(exported / "mask_decoder.onnx", tmp_path / "mask_decoder.onnx")
    about = list(onnx.load(path).metadata_props)

    quantize(path, dtype)

    proto = onnx.load(path)
    weights = {weight.name: weight for weight in proto.graph.initializer}
    products = [node for node in proto.graph.node if node.op_type in PRODUCTS]
    plain = [weights[node.input[1]] for node in products if node.input[1] in weights]
    floats = [list(one.dims) for one in plain if one.data_type == onnx.TensorProto.FLOAT]
    assert floats == [[2, 64]]
    assert len(plain) > 50
    assert [(each.key, each.value) for each in proto.metadata_props] == [
        (each.key, each.value) for each in about
    ]
