"""The runner without PyTorch against sessions and pipelines on the same graphs."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import ImageSegmentationPipeline, VideoSession
from sam2_hf.export.onnx_files import RUNNER
from sam2_hf.export.parity import BLOCK, DISC, DOT, HEIGHT, WIDTH, moving_shapes

numpy_runner = pytest.importorskip(
    "sam2_hf.export.numpy_runner", reason="export needs it: pip install '.[export]'"
)

LEAST_IOU = 0.999
MOST_SECONDS = 1.0  # of the processor, to import and open

WITHOUT_TORCH = """
import sys, time
class Blocked:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in {"torch", "transformers", "sam2_hf", "scipy", "onnx"}:
            raise ImportError(name + " is blocked")
sys.meta_path.insert(0, Blocked())
begin = time.process_time()
import numpy_runner
tracker_begin = numpy_runner.Graphs(sys.argv[1], threads=1)
print(time.process_time() - begin)
import numpy as np
frames = np.load(sys.argv[2])
photo = numpy_runner.NumpySegmenter(sys.argv[1]).encode(frames[0])
masks, iou = photo.masks(points=[(60, 80)])
print(int(masks[0].sum()))
tracker = numpy_runner.NumpyTracker(sys.argv[1], frames)
tracker.click(0, 1, (60, 80))
print([int(masks[1].sum()) for _, masks in tracker.propagate()])
"""


def iou(one, other):
    union = (one | other).sum()
    return 1.0 if union == 0 else (one & other).sum() / union


def test_it_segments_and_tracks_where_there_is_no_torch(exported, tmp_path):
    np.save(tmp_path / "frames.npy", moving_shapes(3))
    command = [sys.executable, "-c", WITHOUT_TORCH, str(exported), str(tmp_path / "frames.npy")]

    done = subprocess.run(command, cwd=exported, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    seconds, area, areas = done.stdout.splitlines()
    assert float(seconds) < MOST_SECONDS
    assert int(area) > 0
    assert len(eval(areas)) == 3


def test_the_file_is_copied_beside_the_graphs(exported):
    assert (exported / RUNNER).read_bytes() == Path(numpy_runner.__file__).read_bytes()


def test_a_clip_is_tracked_as_in_a_session(onnx_model, exported):
    frames = moving_shapes(16)
    session = VideoSession.open(frames, onnx_model, fill_hole_area=0, memory_dtype=torch.float32)
    tracker = numpy_runner.NumpyTracker(exported, frames)
    for one in (session, tracker):
        one.click(0, 1, DISC)
        one.box(0, 2, BLOCK)
    compare(tracker.propagate(limit=8), session.propagate(limit=8))
    for one in (session, tracker):
        one.click(6, 1, (78, 86))
        one.click(6, 1, (20, 20), positive=False)
        one.click(8, 3, DOT)
    compare(tracker.propagate(start=6, limit=5), session.propagate(start=6, limit=5))
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    given = (rows - 30) ** 2 + (columns - 144) ** 2 < 16**2
    for one in (session, tracker):
        one.remove(2)
        one.mask(12, 3, given)
    compare(tracker.propagate(start=11), session.propagate(start=11))
    backward = session.propagate(start=11, limit=4, direction="backward")
    compare(tracker.propagate(start=11, limit=4, backward=True), backward)


def compare(found, wanted):
    count = 0
    for (frame, masks), result in zip(found, wanted, strict=True):
        assert frame == result.frame
        assert set(masks) == set(result.masks)
        assert min(iou(masks[n], result.masks[n]) for n in masks) >= LEAST_IOU, frame
        count += 1
    assert count > 0


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        {"points": [DISC]},
        {"points": [(180, 110), (60, 80)], "labels": [1, 0]},
        {"box": BLOCK},
        {"points": [(180, 110)], "box": BLOCK},
    ],
)
def test_a_photo_is_segmented_as_by_the_pipeline(onnx_model, exported, asked, multimask):
    photo = moving_shapes(1)[0]
    wanted = ImageSegmentationPipeline(onnx_model)(photo, multimask=multimask, **asked)

    masks, scores = (
        numpy_runner.NumpySegmenter(exported)
        .encode(Image.fromarray(photo))
        .masks(**asked, multimask=multimask)
    )

    order = np.argsort(-wanted.scores, kind="stable")
    assert scores == pytest.approx(wanted.scores[order], abs=1e-3)
    for one, other in zip(masks, wanted.masks[order], strict=True):
        assert iou(one, other) >= LEAST_IOU


@pytest.mark.parametrize("size", [(180, 240), (33, 500), (64, 64), (20, 31)])
def test_maps_are_resized_as_by_torch(size):
    maps = torch.randn(2, 64, 64)
    wanted = torch.nn.functional.interpolate(maps[None], size, mode="bilinear")[0]

    assert np.abs(numpy_runner.enlarge(maps.numpy(), size) - wanted.numpy()).max() < 1e-4


def test_photos_are_resized_as_by_torch():
    values = torch.rand(180, 240) * 255
    wanted = torch.nn.functional.interpolate(
        values[None, None], (64, 64), mode="bilinear", antialias=True
    )

    assert (
        np.abs(numpy_runner.resize_floats(values.numpy(), 64) - wanted[0, 0].numpy()).max() < 1e-3
    )


def test_graphs_of_another_model_are_refused(exported, tmp_path):
    onnx = pytest.importorskip("onnx")

    for path in exported.glob("*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    proto = onnx.load(tmp_path / "no_memory.onnx")
    next(one for one in proto.metadata_props if one.key == "sam2_hf.weights").value = "0" * 64
    onnx.save(proto, tmp_path / "no_memory.onnx")

    with pytest.raises(ValueError, match="of another model"):
        numpy_runner.NumpySegmenter(tmp_path).encode(moving_shapes(1)[0])
