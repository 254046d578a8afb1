"""A small video model whose every weight matters, and what it is shown."""

import copy
from functools import cache

import numpy as np
import torch
from peers import draw_weights

from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.prompt_encoder import Prompts
from tests.small_checkpoint import SIDE, small_config

IN_VIEW = 2.0  # what is added to object scores: weights that are drawn say that nothing is there
SHARPER = 4.0  # how much mask logits are spread, so that some lie on either side of zero
SAM_2_0 = {
    "enable_occlusion_spatial_embedding": False,
    "enable_temporal_pos_encoding_for_object_pointers": False,
}
GRID, HIDDEN, MEMORY = SIDE // 16, 32, 16  # of the small config


@cache
def drawn_video_model(version="2.1"):
    """The small video model with drawn weights, in eval mode; not to be changed."""
    model = Sam2VideoModel(small_config(**(SAM_2_0 if version == "2.0" else {})))
    draw_weights(model)
    with torch.no_grad():
        model.mask_decoder.pred_obj_score_head.proj_out.bias.add_(IN_VIEW)
        for head in model.mask_decoder.output_hypernetworks_mlps:
            head.proj_out.weight.mul_(SHARPER)
    return model.eval()


def own_video_model(version="2.1"):
    """A copy of it to be changed."""
    return copy.deepcopy(drawn_video_model(version))


def noise_clip(num_frames=8, height=48, width=72, seed=0):
    """A clip of noise, `(frames, height, width, 3)`: to a drawn model all frames differ."""
    return np.random.default_rng(seed).integers(
        0, 256, (num_frames, height, width, 3), dtype=np.uint8
    )


def pixel_values(count=1, seed=1):
    """Normalized pictures."""
    return torch.randn(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


def recollection(objects, *, ages=(7, 2, 1), pointers=3, seed=2):
    """Memories of objects that remember equally much."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    spatial = tuple(draw(objects, MEMORY, GRID, GRID) for _ in ages)
    if not pointers:
        return MemoryInputs(spatial, tuple(ages))
    return MemoryInputs(
        spatial, tuple(ages), draw(objects, pointers, HIDDEN), draw(objects, pointers).abs()
    )


def row_of(memories, row):
    """What one object of a group remembers."""
    rows = slice(row, row + 1)
    pointers, times = memories.pointers_bpd, memories.times_bp
    return MemoryInputs(
        tuple(one[rows] for one in memories.spatial),
        memories.ages,
        None if pointers is None else pointers[rows],
        None if times is None else times[rows],
    )


def track(model, features, memories, prompts=None, *, multimask_output=True):
    """Condition a frame on memories, or on none, and decode it."""
    embedding = model.condition_on_memory(features, memories)
    return model.decode_masks(
        features, embedding, prompts or Prompts(), multimask_output=multimask_output
    )


def clicks(objects=2, points=1, seed=3):
    """Positive clicks on every object."""
    generator = torch.Generator().manual_seed(seed)
    points_bpt2 = torch.rand(objects, 1, points, 2, generator=generator) * SIDE
    return Prompts(points_bpt2, torch.ones(objects, 1, points, dtype=torch.long))


def disc_masks():
    """Two masks at input size, the second one empty."""
    row, column = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    disc = ((row - 20) ** 2 + (column - 40) ** 2 < 100).float()
    return torch.stack((disc, torch.zeros_like(disc)))[:, None]


def every_answer(model, memories=None):
    """Take each step of the model once, with prompts of every kind; all answers of two objects."""
    features = model.encode_image(pixel_values())
    corners = torch.tensor([[[4.0, 8.0, 40.0, 50.0]], [[20.0, 6.0, 60.0, 30.0]]])
    earlier = torch.randn(2, 1, SIDE // 4, SIDE // 4, generator=torch.Generator().manual_seed(5))
    prompts = Prompts(clicks().points_bpt2, clicks().labels_bpt, corners, earlier)
    prompted = track(model, features, None, prompts)
    adopted = model.use_mask_as_output(features, disc_masks())
    tracked = track(model, features, memories or recollection(2), multimask_output=False)
    remembered = [
        model.encode_memory(features, one.logits_b1hw, one.score_b1, binarize=False)
        for one in (prompted, tracked)
    ]
    found = [prompted.candidates_bmhw, prompted.candidate_iou_bm, prompted.score_b1]
    found += [prompted.pointer_bd, adopted.pointer_bd, tracked.logits_b1hw, tracked.iou_b1]
    return [*found, tracked.pointer_bd, *remembered]
