"""Graphs of fixed shapes: one object after another, filled up with what attention does not see."""

import shutil

import pytest
import torch

from sam2_hf import VideoSession
from sam2_hf.errors import ExportError
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.fixed_shapes import MOST_POINTS, FixedShapes, limited
from sam2_hf.export.graph_folder import GraphFolder
from sam2_hf.export.parity import BLOCK, DISC, moving_shapes

numpy_runner = pytest.importorskip(
    "sam2_hf.export.numpy_runner", reason="export needs it: pip install '.[export]'"
)
onnx = pytest.importorskip("onnx", reason="export needs it: pip install '.[export]'")
SHAPES = FixedShapes(points=16, memories=10, pointers=19)
FRAMES = 5


@pytest.fixture(scope="module")
def fixed_model(exported_fixed):
    return ExportedSam2.from_pretrained(exported_fixed)


def track(model):
    options = {"fill_hole_area": 0, "memory_dtype": torch.float32}
    session = VideoSession.open(moving_shapes(FRAMES), model, **options)
    session.click(0, 1, DISC)
    session.box(0, 2, BLOCK)
    results = list(session.propagate(limit=3))
    session.click(2, 1, [(66, 82), (20, 20)], positive=[True, False])
    return [*results, *session.propagate(start=2)]


def test_a_clip_is_tracked_as_by_graphs_of_any_shape(fixed_model, onnx_model):
    for one, other in zip(track(fixed_model), track(onnx_model), strict=True):
        assert (one.logits_bhw - other.logits_bhw).abs().max() <= 1e-3
        assert one.iou == pytest.approx(other.iou, abs=1e-4)


def test_the_runner_without_torch_tracks_as_on_graphs_of_any_shape(exported_fixed, exported):
    frames = moving_shapes(FRAMES)
    trackers = [numpy_runner.NumpyTracker(folder, frames) for folder in (exported_fixed, exported)]
    for tracker in trackers:
        tracker.click(0, 1, DISC)
        tracker.box(0, 2, BLOCK)

    for (_, masks), (_, wanted) in zip(*(one.propagate() for one in trackers), strict=True):
        assert all((masks[number] != wanted[number]).mean() < 1e-3 for number in (1, 2))


def test_no_dimension_varies(exported_fixed, bundled_model):
    for path in exported_fixed.glob("*.onnx"):
        for one in onnx.load(path).graph.input:
            assert not any(each.dim_param for each in one.type.tensor_type.shape.dim), path.name

    folder = GraphFolder(exported_fixed)
    assert folder.fixed == SHAPES == FixedShapes.of(limited(bundled_model.config))
    assert folder.config.max_cond_frame_num == 4
    assert bundled_model.config.max_cond_frame_num == -1


def test_more_points_than_fit_are_refused(fixed_model):
    session = VideoSession.open(moving_shapes(1), fixed_model)
    session.click(0, 1, [DISC] * (MOST_POINTS + 1))

    with pytest.raises(ExportError, match=r"at most 16 points, there are 17\. Give fewer"):
        session.preview(0)


def test_more_memories_than_fit_are_refused():
    memories = {"spatial": torch.zeros(1, 11, 4, 2, 2), "ages": torch.ones(1, 11)}
    pointers = {"pointers": torch.zeros(1, 1, 8), "times": torch.zeros(1, 1)}

    with pytest.raises(ExportError, match="at most 10 memories, there are 11"):
        list(SHAPES.calls("memory_attention", memories | pointers, 32))


def test_a_graph_of_other_shapes_is_refused(exported, exported_fixed, tmp_path):
    folder = shutil.copytree(exported_fixed, tmp_path / "export")
    shutil.copyfile(exported / "mask_decoder.onnx", folder / "mask_decoder.onnx")

    with pytest.raises(ExportError, match="different fixed shapes"):
        GraphFolder(folder)
