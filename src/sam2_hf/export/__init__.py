"""Every part of a model as an ONNX graph, a model made of the graphs, and a runner to copy."""

from .onnx_files import export_onnx as export_onnx
from .onnx_sam2 import OnnxSam2 as OnnxSam2
