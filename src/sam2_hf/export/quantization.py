"""Graphs whose weights have 8 or 4 bits.

Only products with a matrix of weights are changed; convolutions, norms and embeddings keep float32,
and so do matrices too narrow for a block: the frequencies of positions, where rounding would move
the clicks.
"""

from pathlib import Path
from typing import Any

from .graphs import quietly

BLOCK = 32  # weights of a column that share a scale
BITS = {"int8-weights": 8, "int4-weights": 4}
PRODUCTS = ("MatMul", "Gemm")


def quantize(path: Path, dtype: str) -> None:
    """Quantize the weights of a graph in place; what the graph says of itself stays.

    Args:
        path: The `.onnx` file, of float32.
        dtype: "int8" takes products in whole numbers, too, each input rounded as it comes;
            "int8-weights" and "int4-weights" only store the weights so.
    """
    import onnx

    proto = onnx.load(path)
    about = {each.key: each.value for each in proto.metadata_props}
    with quietly():
        if dtype in BITS:
            proto = _with_narrow_weights(proto, BITS[dtype])
        else:
            proto = _with_whole_products(path, _narrow_products(proto))
    onnx.helper.set_model_props(proto, about)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _with_whole_products(path: Path, excluded: list[str]) -> Any:  # noqa: ANN401 - a ModelProto
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=list(PRODUCTS),
        per_channel=True,
        weight_type=QuantType.QInt8,
        nodes_to_exclude=excluded,
    )
    return onnx.load(path)


def _with_narrow_weights(proto: Any, bits: int) -> Any:  # noqa: ANN401 - as above
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
    from onnxruntime.quantization.onnx_model import ONNXModel

    graph = ONNXModel(proto)
    graph.replace_gemm_with_matmul()
    quantizer = MatMulNBitsQuantizer(
        graph.model,
        bits=bits,
        block_size=BLOCK,
        is_symmetric=True,
        nodes_to_exclude=_narrow_products(graph.model),
    )
    quantizer.process()
    return quantizer.model.model


def _narrow_products(proto: Any) -> list[str]:  # noqa: ANN401 - as above
    """Name the products with a matrix that has fewer rows than a block."""
    rows = {weight.name: weight.dims[0] for weight in proto.graph.initializer if weight.dims}
    return [
        node.name
        for node in proto.graph.node
        if node.op_type in PRODUCTS and rows.get(node.input[1], BLOCK) < BLOCK
    ]
