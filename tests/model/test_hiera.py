import copy

import pytest
import torch
from peers import draw_weights, largest_difference, peer_of
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from sam2_hf import Sam2HieraDetConfig, Sam2HieraDetModel
from sam2_hf.model.hiera import join_windows, pool, split_windows

SAME_SUMS = 1e-5  # features are of order 1; sums in another order differ in float32's last digits


@pytest.fixture(scope="module")
def trunk(drawn_model):
    return drawn_model.vision_encoder.backbone


@pytest.fixture(scope="module")
def narrow_trunk():
    """The windows of the released models in a trunk of few channels."""
    config = Sam2HieraDetConfig(
        hidden_size=8,
        embed_dim_per_stage=[8, 16, 32, 64],
        blocks_per_stage=[1, 2, 3, 2],
        global_attention_blocks=[4],
    )
    return draw_weights(Sam2HieraDetModel(config)).eval()


def block_layout(config):
    """List (window or 0, channels before, channels after, grid before, grid after)."""
    rows = []
    grid, width = 1024 // 4, config.hidden_size
    for stage, depth in enumerate(config.blocks_per_stage):
        for block in range(depth):
            opens = stage > 0 and block == 0
            window = config.window_size_per_stage[stage - opens]
            window = 0 if len(rows) in config.global_attention_blocks else window
            after = (config.embed_dim_per_stage[stage], grid // 2 if opens else grid)
            rows.append((window, width, after[0], grid, after[1]))
            width, grid = after
    return rows


def block_flops(window, width, width_out, grid, grid_out):
    """Count by hand: 2 for a multiplication and addition; padding up to whole windows counts."""
    side = window or grid
    windows = (-(-grid // side)) ** 2
    keys = side**2
    queries = keys if grid_out == grid else (side // 2) ** 2
    qkv = 2 * windows * keys * width * 3 * width_out
    attention = 2 * 2 * windows * queries * keys * width_out
    projection = 2 * windows * queries * width_out**2
    skip = 2 * grid**2 * width * width_out if width != width_out else 0
    return qkv + attention + projection + skip + 2 * 2 * grid_out**2 * width_out * 4 * width_out


def naive_windows(grid_bhwc, size):
    """Cut windows out one by one, row by row."""
    batch, height, width, channels = grid_bhwc.shape
    windows = []
    for index in range(batch):
        for top in range(0, height, size):
            for left in range(0, width, size):
                window = torch.zeros(size, size, channels)
                part = grid_bhwc[index, top : top + size, left : left + size]
                window[: part.shape[0], : part.shape[1]] = part
                windows.append(window)
    return torch.stack(windows)


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (1, 7, 10, 2), (1, 4, 5, 1)])
@pytest.mark.parametrize("stride", [[2, 2], [3, 2], [1, 1]])
def test_pooling_is_max_pooling(shape, stride, generator):
    grid = torch.randn(shape, generator=generator)

    expected = functional.max_pool2d(grid.permute(0, 3, 1, 2), stride, stride)

    assert torch.equal(pool(grid, stride), expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 4), (6, 9, 4), (3, 3, 7), (5, 4, 1)])
def test_windows_are_cut_row_by_row_and_padded_with_zeros(height, width, size, generator):
    grid = torch.randn(2, height, width, 3, generator=generator)

    assert torch.equal(split_windows(grid, size), naive_windows(grid, size))


@pytest.mark.parametrize(("height", "width", "size"), [(8, 8, 4), (6, 9, 4), (3, 3, 7), (5, 4, 1)])
def test_joined_windows_are_the_grid_they_were_cut_from(height, width, size, generator):
    grid = torch.randn(2, height, width, 3, generator=generator)

    assert torch.equal(join_windows(split_windows(grid, size), 2, (height, width)), grid)


def test_stages_have_the_published_strides_and_widths(trunk, pictures):
    features = trunk(pictures)

    shapes = [tuple(stage.shape) for stage in features.intermediate_hidden_states]
    assert shapes == [(2, 16, 16, 16), (2, 8, 8, 24), (2, 4, 4, 32), (2, 2, 2, 48)]
    assert torch.equal(features.last_hidden_state, features.intermediate_hidden_states[-1])


@torch.no_grad()
@pytest.mark.parametrize("size", [32, 96, 256, 512])
def test_any_multiple_of_32_gives_transformers_features(narrow_trunk, size, generator):
    """At 96 pixels the grids are 24, 12, 6 and 3 wide, so that windows of 14 and 7 stick out."""
    pictures = torch.randn(1, 3, size, size, generator=generator)

    ours, theirs = narrow_trunk(pictures), peer_of(narrow_trunk)(pictures)

    stages = (features.intermediate_hidden_states for features in (ours, theirs))
    for our_stage, their_stage in zip(*stages, strict=True):
        assert largest_difference(our_stage, their_stage) <= SAME_SUMS


@torch.no_grad()
def test_pictures_need_not_be_square(trunk, generator):
    pictures = torch.randn(1, 3, 64, 96, generator=generator)

    ours, theirs = trunk(pictures), peer_of(trunk)(pictures)

    assert ours.last_hidden_state.shape == (1, 2, 3, 48)
    assert largest_difference(ours.last_hidden_state, theirs.last_hidden_state) <= SAME_SUMS


@torch.no_grad()
def test_pictures_in_a_batch_do_not_see_each_other(trunk, pictures):
    together = trunk(pictures).last_hidden_state

    alone = torch.cat([trunk(picture[None]).last_hidden_state for picture in pictures])

    assert largest_difference(together, alone) <= SAME_SUMS


@torch.no_grad()
def test_hidden_states_are_the_input_and_every_output_of_the_blocks(own_model, pictures):
    trunk = own_model.vision_encoder.backbone

    features = trunk(pictures, output_hidden_states=True)

    states = features.hidden_states
    assert len(states) == sum(trunk.config.blocks_per_stage) + 1
    assert states[0].shape == states[1].shape == (2, 16, 16, 16)
    assert torch.equal(trunk.blocks[0](states[0]), states[1])
    assert torch.equal(states[-1], features.last_hidden_state)


@torch.no_grad()
@pytest.mark.parametrize("backend", ["eager", "sdpa"])
def test_attentions_are_the_outputs_of_the_attention_modules(own_model, pictures, backend):
    trunk = own_model.vision_encoder.backbone
    trunk.set_attn_implementation(backend)

    attentions = trunk(pictures, output_attentions=True).attentions

    # windows of 4, then pooled to 2 twice, the whole grid of 4 x 4, and pooled again
    shapes = [(32, 4, 4, 16), (32, 2, 2, 24), (8, 2, 2, 32), (2, 4, 4, 32), (2, 2, 2, 48)]
    assert [tuple(attention.shape) for attention in attentions] == shapes


def test_nothing_is_collected_unless_asked_for(trunk, pictures):
    features = trunk(pictures)

    assert features.hidden_states is None
    assert features.attentions is None


@torch.no_grad()
def test_a_tuple_holds_the_same_values(trunk, pictures):
    features = trunk(pictures)

    last, stages = trunk(pictures, return_dict=False)

    assert torch.equal(last, features.last_hidden_state)
    assert all(map(torch.equal, stages, features.intermediate_hidden_states))


def test_sizes_may_be_one_number_or_two(tiny_config, pictures):
    fields = tiny_config.vision_config.backbone_config.to_dict()
    numbers = {"patch_kernel_size": 7, "patch_stride": 4, "patch_padding": 3, "query_stride": 2}
    short = Sam2HieraDetModel(Sam2HieraDetConfig(**(fields | numbers | {"image_size": 64})))
    long = Sam2HieraDetModel(Sam2HieraDetConfig(**fields))

    answers = [draw_weights(model).eval()(pictures).last_hidden_state for model in (short, long)]

    assert torch.equal(*answers)


def test_position_table_is_a_stretched_background_under_tiled_windows(trunk):
    stretched = functional.interpolate(trunk.pos_embed, size=(24, 24), mode="bicubic")
    expected = (stretched + trunk.pos_embed_window.tile(1, 1, 6, 6)).permute(0, 2, 3, 1)

    assert torch.equal(trunk._position_table(24, 24), expected)


@torch.no_grad()
def test_position_table_in_bfloat16_is_a_rounded_float32_table(trunk):
    half = copy.deepcopy(trunk).bfloat16()
    exact = copy.deepcopy(half).float()._position_table(16, 16)

    assert torch.equal(half._position_table(16, 16), exact.bfloat16())


@torch.no_grad()
def test_position_table_is_made_once_for_a_size(trunk):
    first = trunk._position_table(16, 16)

    assert trunk._position_table(16, 16) is first
    assert trunk._position_table(8, 8).shape == (1, 8, 8, 16)


def test_pictures_are_cast_to_the_model(trunk, pictures):
    half = copy.deepcopy(trunk).bfloat16()

    assert half(pictures).last_hidden_state.dtype == torch.bfloat16


def test_a_trunk_without_pictures_says_so(trunk):
    with pytest.raises(ValueError, match="pixel_values is None: pass the pictures"):
        trunk()


def test_the_tiny_trunk_at_1024_pixels_does_no_work_that_is_thrown_away():
    """In transformers 5.23 every block computes attention weights and drops them."""
    config = Sam2HieraDetConfig()
    with torch.device("meta"):
        trunk = Sam2HieraDetModel(config)
        pictures = torch.empty(1, 3, 1024, 1024)

    with FlopCounterMode(display=False) as counter:
        trunk(pictures)

    patches = 2 * 256**2 * 3 * 7 * 7 * config.hidden_size
    by_hand = patches + sum(block_flops(*row) for row in block_layout(config))
    assert counter.get_total_flops() == by_hand
