"""Models for other runtimes: ONNX graphs of every part, and photo graphs in other formats."""

from .exported_folder import open_export as open_export
from .exported_sam2 import ExportedSam2 as ExportedSam2, OnnxSam2 as OnnxSam2
from .hub_upload import push_export as push_export
from .onnx_files import export_onnx as export_onnx
from .openvino_files import export_openvino as export_openvino
from .photo_folder import PhotoFolder as PhotoFolder, export_photo as export_photo
