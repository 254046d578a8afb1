import pytest
import torch

from sam2_hf.training.config import OptimizerConfig
from sam2_hf.training.muon import ADAMW_SIZE, Muon, orthogonalized
from sam2_hf.training.optimizer import learning_rate_multipliers, make_optimizer
from tests.drawn_video import own_video_model
from tests.training.small_runs import settings, tensors_of, train, trainer_of, unequal

CONFIG = OptimizerConfig(kind="muon", learning_rate=1e-2, weight_decay=0.1)


def photos(world):
    return {"kind": "pairs", "path": str(world / "pairs"), "batch_size": 2, "augment": {}}


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(2, 24, 24), (1, 12, 40), (3, 40, 12)])
def test_singular_values_come_to_lie_near_1(shape):
    found = torch.linalg.svdvals(orthogonalized(drawn(*shape)).float())

    assert found.quantile(0.1) > 0.5  # a square one may have a value that begins near 0
    assert found.max() < 1.4


def test_a_matrix_moves_as_far_in_all_directions():
    weight = torch.nn.Parameter(torch.zeros(16, 48))
    weight.grad = drawn(16, 48) * torch.logspace(-3, 0, 16)[:, None]
    optimizer = Muon([{"params": [weight], "lr": 0.1, "matrices": True}])

    optimizer.step()

    size = weight.detach().square().mean().sqrt().item()
    assert size == pytest.approx(0.1 * ADAMW_SIZE, rel=0.3)
    values = torch.linalg.svdvals(weight.detach())
    assert values.max() / values.min() < 10  # of the gradient about 1000


def test_everything_else_moves_as_adamw_moves_it():
    one, other = (torch.nn.Parameter(drawn(5)) for _ in range(2))
    options = {"lr": 0.01, "weight_decay": 0.1}
    ours = Muon([{"params": [one], "matrices": False, **options}])
    theirs = torch.optim.AdamW([other], betas=(0.9, 0.999), **options)

    for _ in range(3):
        for parameter, optimizer in ((one, ours), (other, theirs)):
            parameter.grad = drawn(5) ** 2
            optimizer.step()

    assert one.detach().equal(other.detach())


def test_tables_norms_and_narrow_heads_are_left_to_adamw():
    model = own_video_model()
    options = learning_rate_multipliers(model, CONFIG)
    optimizer = make_optimizer(dict(model.named_parameters()), options, CONFIG)
    owners = {id(parameter): name for name, parameter in model.named_parameters()}

    matrices = {
        owners[id(one)]
        for group in optimizer.param_groups
        if group["matrices"]
        for one in group["params"]
    }

    assert "vision_encoder.backbone.blocks.0.attn.qkv.weight" in matrices
    assert "mask_decoder.transformer.layers.0.self_attn.q_proj.weight" in matrices
    assert "vision_encoder.neck.convs.0.weight" in matrices  # of kernel 1
    assert "vision_encoder.backbone.patch_embed.projection.weight" not in matrices
    tables = ("pos_embed", "point_embed", "norm", "bias")
    assert not any(part in name for name in matrices for part in tables)
    assert "mask_decoder.pred_obj_score_head.proj_out.weight" not in matrices


def test_a_run_goes_on_with_the_bits_of_one_that_was_not_stopped(world, one_thread):
    changes = {"optimizer__kind": "muon", "dense": {"clicks": 4}, "data": [photos(world)]}
    whole = train(settings(world, "whole", **changes))
    parts = trainer_of(settings(world, "parts", **changes))
    parts.steps = 2
    parts.run()

    resumed = train(settings(world, "parts", **changes), resume=True)

    assert unequal(tensors_of(whole, 4), tensors_of(resumed, 4)) == []
