import pytest
import torch
from torch.nn import functional

from sam2_hf import Sam2VisionConfig
from sam2_hf.model.image_encoder import FpnNeck, neck_positions
from sam2_hf.model.position_encoding import sine_table


def narrow_neck(**options):
    config = Sam2VisionConfig(backbone_channel_list=[16, 12, 8, 4], fpn_hidden_size=8, **options)
    return FpnNeck(config).requires_grad_(False)


@pytest.fixture
def stages(generator):
    """Trunk features, finest first, of two pictures of 64 x 96 pixels."""
    shapes = [(2, 16, 24, 4), (2, 8, 12, 8), (2, 4, 6, 12), (2, 2, 3, 16)]
    return tuple(torch.randn(shape, generator=generator) for shape in shapes)


def test_every_level_gets_the_necks_width_and_keeps_its_size(stages):
    maps = narrow_neck()(stages)

    shapes = [tuple(level.shape) for level in maps]
    assert shapes == [(2, 8, 16, 24), (2, 8, 8, 12), (2, 8, 4, 6), (2, 8, 2, 3)]


def test_stages_meet_the_convolutions_in_reverse_order(stages):
    neck = narrow_neck(fpn_top_down_levels=[])

    maps = neck(stages)

    for level, conv in enumerate(reversed(neck.convs)):
        assert torch.equal(maps[level], conv(stages[level].permute(0, 3, 1, 2)))


def test_a_top_down_level_also_receives_the_coarser_one(stages):
    neck = narrow_neck(fpn_top_down_levels=[2, 3])
    alone = narrow_neck(fpn_top_down_levels=[])
    alone.load_state_dict(neck.state_dict())

    together, separate = neck(stages), alone(stages)

    stretched = functional.interpolate(separate[3], scale_factor=2, mode="nearest")
    assert torch.equal(together[2], separate[2] + stretched)
    for level in (0, 1, 3):  # above the coarsest there is nothing to receive
        assert torch.equal(together[level], separate[level])


def test_a_chain_of_top_down_levels_reaches_the_finest(stages):
    neck = narrow_neck(fpn_top_down_levels=[0, 1, 2])

    finest = neck(stages)[0]
    changed = neck((*stages[:3], stages[3] + 1))[0]

    assert (changed - finest).abs().amin(dim=(-2, -1)).gt(0).any()


def test_positions_are_one_table_for_all_pictures():
    maps = [torch.zeros(3, 8, 4, 6), torch.zeros(3, 8, 2, 3)]

    positions = neck_positions(maps)

    assert [p.shape for p in positions] == [m.shape for m in maps]
    assert positions[0].stride(0) == 0
    for table, (height, width) in zip(positions, [(4, 6), (2, 3)], strict=True):
        expected = sine_table(height, width, 8, torch.device("cpu"), torch.float32)
        assert torch.equal(table[2], expected[0])


def test_positions_take_the_dtype_of_the_maps():
    (positions,) = neck_positions([torch.zeros(1, 8, 4, 4, dtype=torch.bfloat16)])

    assert positions.dtype == torch.bfloat16
