"""The perceiver that compresses EdgeTAM's memories."""

import torch
from peers import draw_weights

from sam2_hf.model.position_encoding import rotary_table, sine_table
from sam2_hf.model.spatial_perceiver import SpatialPerceiver, latent_places, latent_rotations
from tests.small_families import MEMORY_WIDTH, edgetam_config

CPU = torch.device("cpu")


def perceiver():
    return draw_weights(SpatialPerceiver(edgetam_config())).eval()


@torch.no_grad()
def test_a_map_becomes_free_and_placed_latents():
    memories = torch.randn(3, MEMORY_WIDTH, 8, 8)

    assert perceiver()(memories).shape == (3, 4 + 4, MEMORY_WIDTH)


@torch.no_grad()
def test_a_placed_latent_sees_its_own_window_alone():
    part, memory = perceiver(), torch.randn(1, MEMORY_WIDTH, 8, 8)
    changed = memory.clone()
    changed[..., :4, 4:] += 1  # the upper right of 2 x 2 windows

    before, after = part(memory)[0], part(changed)[0]

    differs = (before != after).any(dim=1)
    assert differs[:4].all()  # free latents see everything
    assert differs[4:].tolist() == [False, True, False, False]


@torch.no_grad()
def test_objects_are_compressed_each_by_itself():
    part, memories = perceiver(), torch.randn(2, MEMORY_WIDTH, 8, 8)

    together = part(memories)

    for row in range(2):
        assert torch.allclose(part(memories[row : row + 1])[0], together[row], atol=1e-5)


def test_free_latents_have_no_place_and_are_not_rotated():
    places = latent_places((3, 4), 8, CPU, torch.float32)[0]
    cos, sin = latent_rotations((3, 4), 8, 10_000.0, CPU)

    assert not places[:3].any()
    grid = sine_table(2, 2, 8, CPU, torch.float32)[0].flatten(1).T
    assert torch.equal(places[3:], grid)
    assert cos[:3].eq(1).all()
    assert not sin[:3].any()
    assert torch.equal(cos[3:], rotary_table(2, 2, 8, 10_000.0, CPU)[0])


def test_latents_may_all_be_free():
    assert latent_places((3, 0), 8, CPU, torch.float32).shape == (1, 3, 8)
    assert latent_rotations((3, 0), 8, 10_000.0, CPU)[0].shape == (3, 4)
