"""Names of weights: original and ours."""

import json
from pathlib import Path

import pytest
import torch

from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError
from sam2_hf.model.checkpoints.checkpoint_names import (
    ROWS,
    check_names,
    is_original_name,
    is_our_name,
    original_names,
    to_original,
    to_ours,
)
from sam2_hf.model.checkpoints.released_models import RELEASED, released_config
from tests.small_checkpoint import meta_weights, small_config, small_original

MANIFESTS = Path(__file__).parents[2] / "golden" / "manifests"


def shapes_of(architecture):
    return json.loads((MANIFESTS / f"{architecture}.json").read_text())


@pytest.mark.parametrize("name", RELEASED)
def test_names_and_shapes_of_a_released_model_become_those_of_transformers(name):
    original = {k: torch.empty(shape, device="meta") for k, shape in shapes_of(name).items()}

    ours = {name: tensor.shape for name, tensor in to_ours(original).items()}

    peer = {name: tensor.shape for name, tensor in meta_weights(released_config(name)).items()}
    assert ours == peer


@pytest.mark.parametrize("name", RELEASED)
def test_the_expected_names_are_those_of_the_released_checkpoint(name):
    names = original_names(released_config(name))

    assert sorted(names) == sorted(shapes_of(name))


@pytest.mark.parametrize("architecture", ["micro", "micro20"])
def test_there_and_back_is_equal_bit_by_bit(seeded_checkpoint, architecture):
    original = seeded_checkpoint(architecture)

    back = to_original(to_ours(original))

    assert back.keys() == original.keys()
    assert all(back[name].dtype == original[name].dtype for name in original)
    assert all(torch.equal(back[name], original[name]) for name in original)


def test_no_row_of_the_table_says_the_same_as_another():
    assert len({row.original for row in ROWS}) == len(ROWS)
    assert len({row.ours for row in ROWS}) == len(ROWS)


def test_the_original_implementation_calls_no_weight_by_a_name_we_do_not_know():
    names = {name for model in RELEASED for name in shapes_of(model)}

    assert all(is_original_name(name) for name in names)
    assert not is_our_name("mask_decoder.iou_token.bias")


def test_renamed_tensors_share_no_memory():
    ours = to_ours(small_original())

    addresses = [tensor.data_ptr() for tensor in ours.values()]

    assert len(set(addresses)) == len(addresses)


def test_eleven_point_embeddings_stay_in_the_order_of_their_numbers():
    """Sorted as text, 10 would come before 2."""
    names = [f"sam_prompt_encoder.point_embeddings.{i}.weight" for i in range(11)]
    original = {name: torch.full((1, 4), float(i)) for i, name in enumerate(names)}

    ours = to_ours(dict(reversed(original.items())))

    assert ours["prompt_encoder.point_embed.weight"][:, 0].tolist() == list(range(11))


def test_foreign_names_are_named():
    with pytest.raises(CheckpointError, match=r"unexpected 1: conv1\.weight"):
        to_ours(small_original() | {"conv1.weight": torch.zeros(1)})
    with pytest.raises(CheckpointError, match=r"unexpected 1: lm_head\.weight"):
        to_original({"lm_head.weight": torch.zeros(1)})


def test_frequencies_that_differ_cannot_go_back():
    ours = to_ours(small_original())
    ours["shared_image_embedding.positional_embedding"] += 1

    with pytest.raises(CheckpointError, match="differ, but the original format keeps"):
        to_original(ours)


def test_missing_and_foreign_names_are_counted_and_the_first_are_shown():
    names = set(original_names(small_config()))
    gone = sorted(name for name in names if "cross_attn_image" in name)

    with pytest.raises(CheckpointError) as caught:
        check_names(names - set(gone) | {"extra"}, small_config(), source="x.pt")

    message = str(caught.value)
    assert f"missing {len(gone)}: " in message
    assert sum(name in message for name in gone) == 5
    assert "unexpected 1: extra" in message


def test_an_image_model_needs_no_memory_but_takes_it():
    config = small_config()
    names = original_names(config)

    check_names(names, config, source="x.pt", memory=False)
    check_names(original_names(config, memory=False), config, source="x.pt", memory=False)
    with pytest.raises(CheckpointError, match="maskmem_tpos_enc"):
        check_names(original_names(config, memory=False), config, source="x.pt")


def test_a_weight_of_another_size_of_model_is_foreign():
    names = [*original_names(small_config()), "image_encoder.trunk.blocks.40.norm1.weight"]

    with pytest.raises(CheckpointError, match=r"unexpected 1: image_encoder\.trunk\.blocks\.40"):
        check_names(names, small_config(), source="x.pt", memory=False)
