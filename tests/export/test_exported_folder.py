"""An export of any format is opened, compared with its model, and refused another one."""

import pytest

from sam2_hf.errors import ExportError
from sam2_hf.export.exported_folder import open_export


def test_photo_graphs_are_compared_with_their_model(photo_export, small_model):
    export = open_export(photo_export("torchscript"))

    export.require_made_of(small_model, "small")
    rows = list(export.measure(small_model))

    assert [row.work for row in rows] == ["encode a picture", "one click"]
    assert all(row.is_equal for row in rows)
    assert (export.format_name, export.dtype, export.image_size) == ("torchscript", "float32", 64)


def test_an_export_of_another_model_is_refused(photo_export, tiny_video_model):
    with pytest.raises(ExportError, match="was not made from tiny: the weights differ"):
        open_export(photo_export("torchscript")).require_made_of(tiny_video_model, "tiny")


def test_onnx_graphs_name_their_model(exported):
    export = open_export(exported)

    assert (export.model_name, export.format_name) == ("sam2-hiera-micro", "onnx")
    assert export.runtime == "ONNX Runtime, ONNX opset 20"
