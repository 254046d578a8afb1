"""Prompts on a photo for several objects; an export is compared with its modules."""

import torch

from sam2_hf.export.onnx_files import exportable_copy
from sam2_hf.export.photo_folder import PhotoFolder
from sam2_hf.export.photo_graphs import DECODER, ENCODER, photo_graphs

TOLERANCE = 1e-4  # of the largest value, or absolute where that is below 1


def prompts(side, objects, points):
    """Clicks, corners of boxes and nothing; every second object has an earlier mask."""
    random = torch.Generator().manual_seed(objects)
    places = torch.rand(objects, points, 2, generator=random) * side
    labels = torch.randint(-1, 4, (objects, points), generator=random)
    mask = 4 * torch.randn(objects, 1, side // 4, side // 4, generator=random)
    return places, labels, mask, torch.arange(objects) % 2 == 1


def compare_with_modules(folder, model):
    """Encode a photo and decode prompts of one and of several objects, by both."""
    export, side = PhotoFolder(folder), model.image_size
    modules = {one.name: one.module for one in photo_graphs(exportable_copy(model, torch.float32))}
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        maps = modules[ENCODER](pixels)
        require_equal(export(ENCODER, pixels), maps)
        for objects, points in ((1, 1), (3, 2), (2, 5)):
            asked = (*maps, *prompts(side, objects, points))
            require_equal(export(DECODER, *asked), modules[DECODER](*asked))


def require_equal(found, wanted):
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        assert (one.shape, one.dtype) == (other.shape, torch.float32)
        assert (one - other).abs().max() <= TOLERANCE * max(1.0, other.abs().max().item())
