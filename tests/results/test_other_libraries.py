"""Results for supervision and FiftyOne.

`pip install --target FOLDER --no-deps supervision opencv-python-headless pydeprecate defusedxml`
and `PYTHONPATH=FOLDER` let the first test run.
"""

import sys
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from sam2_hf.errors import MissingPackageError
from sam2_hf.results.frame_masks import FrameByFrame, FrameMasks
from tests.results.readers import SIZE, objects, plain_mask, ring_mask, scene


@pytest.mark.filterwarnings("ignore")
def test_supervision_gets_equal_masks_boxes_and_names():
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")

    detections = scene().to_supervision()

    assert isinstance(detections, supervision.Detections)
    np.testing.assert_array_equal(detections.mask, [ring_mask(), plain_mask()])
    boxes = supervision.mask_to_xyxy(detections.mask)
    np.testing.assert_array_equal(detections.xyxy, boxes)
    assert detections.class_id.tolist() == [0, 1]
    assert detections.data["class_name"].tolist() == ["truck & co", "object"]
    assert detections.confidence.tolist() == [0.75, 0.75]
    assert detections.tracker_id is None
    tracked = FrameMasks(0, SIZE, tuple(objects()), None).to_supervision()
    assert tracked.tracker_id.tolist() == [0, 300]
    assert len(FrameMasks(0, SIZE, (), None).to_supervision()) == 0


class TwoFrames(FrameByFrame):
    """The result of a video with two frames: one object on the first, two on the second."""

    def on_frame(self, frame):
        return FrameMasks(frame, SIZE, tuple(objects()[: frame + 1]), None)


@dataclass
class Detection:
    """The documented fields of `fiftyone.Detection`."""

    label: str
    bounding_box: list
    mask: np.ndarray
    confidence: float
    index: int


@dataclass
class Detections:
    detections: list = field(default_factory=list)


def test_fiftyone_gets_relative_boxes_with_masks_inside(monkeypatch):
    module = ModuleType("fiftyone")
    module.Detection, module.Detections = Detection, Detections
    monkeypatch.setitem(sys.modules, "fiftyone", module)

    first, second = scene().to_fiftyone().detections

    assert (first.label, second.label, second.index) == ("truck & co", "object", 300)
    left, top, width, height = np.array(second.bounding_box) * (60, 40, 60, 40)
    drawn = np.zeros(SIZE, bool)
    rows = slice(round(top), round(top + height))
    drawn[rows, round(left) : round(left + width)] = second.mask
    np.testing.assert_array_equal(drawn, plain_mask())
    assert first.mask.sum() == ring_mask().sum()


@pytest.mark.parametrize(
    ("package", "convert"), [("supervision", "to_supervision"), ("fiftyone", "to_fiftyone")]
)
def test_a_video_is_converted_frame_by_frame(monkeypatch, package, convert):
    module = ModuleType(package)
    module.Detection, module.Detections = Detection, Detections
    if package == "supervision":
        module.Detections = lambda **fields: SimpleNamespace(
            detections=[
                SimpleNamespace(index=object_id, mask=mask)
                for object_id, mask in zip(fields["tracker_id"], fields["mask"], strict=True)
            ]
        )
    monkeypatch.setitem(sys.modules, package, module)

    first, second = (getattr(TwoFrames(), convert)(frame).detections for frame in (0, 1))

    assert [found.index for found in first] == [0]
    assert [found.index for found in second] == [0, 300]
    assert second[1].mask.sum() == plain_mask().sum()


@pytest.mark.parametrize("package", ["supervision", "fiftyone"])
def test_without_the_package_the_error_says_what_to_install(monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)

    with pytest.raises(MissingPackageError, match=f"pip install {package}"):
        getattr(scene(), f"to_{package}")()
