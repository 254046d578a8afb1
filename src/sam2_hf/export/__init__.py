"""Every part of a model as an ONNX graph, a model made of the graphs, and a runner to copy."""

from .exported_sam2 import ExportedSam2 as ExportedSam2, OnnxSam2 as OnnxSam2
from .onnx_files import export_onnx as export_onnx
from .openvino_files import export_openvino as export_openvino
