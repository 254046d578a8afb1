"""The runner without PyTorch against sessions and pipelines on the same graphs."""

import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
import torch
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from PIL import Image

from sam2_hf import ImageSegmentationPipeline, VideoSession
from sam2_hf.export.onnx_files import RUNNER
from sam2_hf.export.parity import BLOCK, DISC, HEIGHT, WIDTH, moving_shapes

numpy_runner = pytest.importorskip(
    "sam2_hf.export.numpy_runner", reason="export needs it: pip install '.[export]'"
)

FOREIGN = (  # a graph without a description: y = x
    b'\x08\x08:7\n\x10\n\x01x\x12\x01y"\x08Identity\x12\x01fZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04'
    b"\n\x02\x08\x01b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x01B\x04\n\x00\x10\x11"
)
LEAST_IOU = 0.999
MOST_SECONDS = 1.0  # of the processor, to import and open

NEEDED = ("numpy", "pillow", "onnxruntime")
BY_ITSELF = """
import sys, time
from pathlib import Path
sys.path += sys.argv[1:3]
folder, pictures = sys.argv[2:]
for absent in ("torch", "transformers", "sam2_hf", "scipy", "onnx"):
    try:
        __import__(absent)
    except ImportError:
        continue
    raise SystemExit(absent + " can be imported")
begin = time.process_time()
from numpy_runner import Graphs, NumpySegmenter, NumpyTracker
Graphs(folder, threads=1)
print(time.process_time() - begin)
from PIL import Image
frames = [Image.open(path) for path in sorted(Path(pictures).glob("*.png"))]
masks, iou = NumpySegmenter(folder, threads=1).encode(frames[0]).masks(points=[(60, 80)])
print(int(masks[0].sum()))
tracker = NumpyTracker(folder, frames, threads=1)
tracker.click(0, 1, (60, 80))
print(*(int(masks[1].sum()) for _, masks in tracker.propagate()))
"""


def link_packages(names, folder):
    """Make a folder that holds packages of this environment, what they need, and nothing else."""
    folder.mkdir()
    waiting, done = list(names), set()
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in done:
            continue
        done.add(name)
        found = distribution(name)
        for top in {path.parts[0] for path in found.files} - {"..", "__pycache__"}:
            (folder / top).symlink_to(found.locate_file(top))
        needs = map(Requirement, found.requires or ())
        waiting += [need.name for need in needs if not need.marker or need.marker.evaluate()]
    return folder


def iou(one, other):
    union = (one | other).sum()
    return 1.0 if union == 0 else (one & other).sum() / union


def test_it_segments_and_tracks_where_there_is_nothing_but_what_it_needs(exported, tmp_path):
    pictures = tmp_path / "clip"
    pictures.mkdir()
    for number, frame in enumerate(moving_shapes(3)):
        Image.fromarray(frame).save(pictures / f"{number:05d}.png")
    packages = link_packages(NEEDED, tmp_path / "packages")
    command = [sys.executable, "-I", "-S", "-c", BY_ITSELF]  # none of this environment's packages

    done = subprocess.run(
        [*command, str(packages), str(exported), str(pictures)],
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert done.returncode == 0, done.stderr + done.stdout
    seconds, area, areas = done.stdout.splitlines()
    assert float(seconds) < MOST_SECONDS
    assert int(area) > 0
    assert min(map(int, areas.split())) > 0
    assert len(areas.split()) == 3


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
        one.click(8, 3, (136, 30))  # the center of the dot
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

    with pytest.raises(ValueError, match="a different model"):
        numpy_runner.NumpySegmenter(tmp_path).encode(moving_shapes(1)[0])


@pytest.mark.parametrize(
    ("damage", "kind", "words"),
    [
        (lambda path: path.unlink(), FileNotFoundError, "is missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:999]), ValueError, "cannot be opened"),
        (lambda path: path.write_bytes(FOREIGN), ValueError, "is not the graph .* of an export"),
        (
            lambda path: shutil.copyfile(path.with_name("object_pointer.onnx"), path),
            ValueError,
            "is not the graph .* of an export",
        ),
    ],
)
def test_a_graph_that_cannot_be_used_is_one_line(exported, tmp_path, damage, kind, words):
    for name in ("image_encoder", "no_memory"):
        folder = tmp_path / name
        folder.mkdir()
        for path in exported.glob("*.onnx"):
            (folder / path.name).symlink_to(path)
        graph = folder / f"{name}.onnx"
        graph.unlink()
        shutil.copyfile(exported / graph.name, graph)
        damage(graph)

        with pytest.raises(kind, match=f"{name}.onnx {words}.*sam2-hf export") as caught:
            numpy_runner.Graphs(folder)("no_memory")

        assert "\n" not in str(caught.value)


def test_wrong_calls_of_a_tracker_say_what_to_do(exported):
    tracker = numpy_runner.NumpyTracker(exported, moving_shapes(2))

    with pytest.raises(ValueError, match="No object has a prompt"):
        next(tracker.propagate())
    for frame in (-1, 2):
        with pytest.raises(ValueError, match=f"no frame {frame}; there are 2"):
            tracker.click(frame, 1, (60, 80))
    assert tracker.objects == {}
