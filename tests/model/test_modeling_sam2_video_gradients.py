"""Gradients of the video model over two frames: every weight that is read gets one."""

import pytest
import torch

from sam2_hf.model.prompt_encoder import Prompts
from tests.drawn_video import clicks, disc_masks, own_video_model, pixel_values, recollection, track
from tests.small_checkpoint import SIDE

ANSWER = ("candidates_bmhw", "candidate_iou_bm", "logits_b1hw", "iou_b1", "pointer_bd", "score_b1")


def loss_of_two_frames(model):
    """Click on a frame, remember it, track the next one, remember a mask that is given."""
    first, second = (model.encode_image(pixel) for pixel in pixel_values(2)[:, None])
    earlier = torch.zeros(2, 1, SIDE // 4, SIDE // 4)
    boxed = Prompts(
        torch.tensor([[10.0, 10.0], [50.0, 40.0], [20.0, 20.0], [5.0, 5.0]]).expand(2, 1, 4, 2),
        torch.tensor([2, 3, 1, 0]).expand(2, 1, 4),
        masks_bphw=earlier,
    )
    answers = [
        track(model, first, None, clicks()),
        track(model, first, None, boxed, multimask_output=False),
        model.use_mask_as_output(first, disc_masks()),
    ]
    rows = answers[0]
    spatial = model.encode_memory(first, rows.logits_b1hw, -rows.score_b1, binarize=False)
    pointers = torch.stack([rows.pointer_bd, answers[2].pointer_bd], dim=1)
    memories = recollection(2, ages=tuple(range(7, 0, -1)))
    memories = type(memories)(
        (spatial, *memories.spatial[1:]), memories.ages, pointers, memories.times_bp[:, :2]
    )
    answers.append(track(model, second, memories))
    return sum(
        getattr(answer, name).square().mean()
        for answer in answers
        for name in ANSWER
        if getattr(answer, name).requires_grad
    )


@pytest.mark.parametrize("version", ["2.0", "2.1"])
def test_a_gradient_reaches_every_weight_over_two_frames(version):
    model = own_video_model(version).train()

    loss_of_two_frames(model).backward()

    unreached = {
        name
        for name, weight in model.named_parameters()
        if weight.grad is None or not weight.grad.any()
    }
    # the first is read by nobody; a bias of keys adds the same to all products of a query, which
    # softmax does not see, except in memory attention, where keys turn
    assert "no_memory_positional_encoding" in unreached
    unreached.discard("no_memory_positional_encoding")
    assert {name for name in unreached if not name.endswith("k_proj.bias")} == set()
    assert not any(name.startswith("memory_attention") for name in unreached)


def test_every_point_embedding_and_age_gets_a_gradient():
    model = own_video_model().train()

    loss_of_two_frames(model).backward()

    assert model.prompt_encoder.point_embed.weight.grad.any(dim=1).all()
    assert model.memory_temporal_positional_encoding.grad.flatten(1).any(dim=1).all()
