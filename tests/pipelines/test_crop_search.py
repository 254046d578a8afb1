"""The search of one crop."""

import numpy as np
import pytest
import torch

from sam2_hf.pipelines import crop_search
from sam2_hf.pipelines.crop_search import CropSearch, FoundMasks
from sam2_hf.pipelines.encoded_image import PhotoEncoder
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.point_grid import Crop
from sam2_hf.processing.images import to_rgb
from sam2_hf.upsampled_masks import UpsampledStatistics

GRID = np.array([[0.25, 0.5], [0.75, 0.5]])
KEEP_ALL = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "box_nms_thresh": 1.0}


def masks(count, start=0.0):
    numbers = torch.arange(count) + start
    return FoundMasks(
        numbers[:, None, None].expand(-1, 2, 2),
        numbers,
        numbers,
        numbers[:, None].expand(-1, 4),
        numbers[:, None].expand(-1, 2),
    )


@pytest.fixture
def search(tiny_model, wide):
    """The right half of a wide photo."""

    def make(**options):
        crop = Crop(60, 0, 120, 60, 1)
        embeddings = PhotoEncoder(tiny_model).embeddings(to_rgb(wide)[:, :, 60:])
        chosen = EverythingOptions().changed(**(KEEP_ALL | options))
        return CropSearch(tiny_model, 64, embeddings, crop, (60, 120), chosen)

    return make


def test_masks_are_picked_and_joined_with_all_that_belongs_to_them():
    both = FoundMasks.joined([masks(2), masks(1, start=9)])

    picked = both.pick(torch.tensor([2, 0]))

    assert len(both) == 3
    assert picked.iou_m.tolist() == [9, 0]
    assert picked.boxes_m4[0].tolist() == [9] * 4
    assert len(both.pick(both.iou_m > 0.5)) == 2


def test_places_are_given_in_pixels_of_the_photo(search):
    found = search().run(GRID, lambda clicks: None)

    assert {tuple(xy) for xy in found.points_m2.tolist()} <= {(75.0, 30.0), (105.0, 30.0)}
    assert (found.boxes_m4[:, 0] >= 60).all()


def test_a_mask_cut_off_by_the_crop_is_dropped(search, monkeypatch):
    boxes = torch.tensor([[0, 5, 30, 30], [25, 5, 59, 59], [25, 22, 30, 39]])
    measured = UpsampledStatistics(torch.ones(3), torch.ones(3), boxes)
    monkeypatch.setattr(crop_search, "upsampled_statistics", lambda *args, **options: measured)

    found = search().run(GRID[:1], lambda clicks: None)

    # the first touches the crop's left edge, which is in the middle of the photo
    kept = sorted(found.boxes_m4.tolist())
    assert kept == [[85, 5, 119, 59], [85, 22, 90, 39]]


def test_every_batch_of_clicks_is_reported(search):
    told = []

    search(points_per_batch=1).run(GRID, told.append)

    assert told == [1, 1]
