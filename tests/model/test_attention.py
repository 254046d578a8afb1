import pytest
import torch
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from sam2_hf import Sam2MaskDecoderConfig
from sam2_hf.model.attention import PromptAttention, attend, eager_attention

# Largest relative error of a few hundred roundings: 2**-8 each in bfloat16, 2**-11 in float16.
TOLERANCES = {torch.float32: 1e-5, torch.float16: 5e-3, torch.bfloat16: 3e-2}
BACKENDS = ("eager", "sdpa")


def narrow_config(backend="sdpa"):
    return Sam2MaskDecoderConfig(hidden_size=16, num_attention_heads=2, attn_implementation=backend)


def layer_of(backend, scaling):
    """A module that has what a backend reads of an attention layer."""
    layer = torch.nn.Module()
    layer.config, layer.scaling = narrow_config(backend), scaling
    return layer


def draw(generator, *shapes):
    return [torch.randn(shape, generator=generator) for shape in shapes]


def slow_attention(queries, scaling, attention_mask):
    """Attend query by query in float64."""
    query, key, value = (part.double() for part in queries)
    found = torch.empty(query.shape[0], query.shape[2], query.shape[1], value.shape[3])
    for batch in range(query.shape[0]):
        for head in range(query.shape[1]):
            for row in range(query.shape[2]):
                products = key[batch, head] @ query[batch, head, row] * scaling
                weights = (products + attention_mask[batch, 0, row]).exp()
                found[batch, row, head] = weights / weights.sum() @ value[batch, head]
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_follows_its_formula(backend, generator):
    queries = draw(generator, (2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 5, 8))
    mask = torch.randn(2, 1, 4, 5, generator=generator)
    mask[1, :, :, 0] = -torch.inf

    found = attend(layer_of(backend, 0.5), *queries, attention_mask=mask)

    torch.testing.assert_close(found, slow_attention(queries, 0.5, mask), atol=1e-5, rtol=0)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_sdpa_equals_eager(dtype, masked, generator):
    queries = [part.to(dtype) for part in draw(generator, *[(2, 2, 64, 16)] * 3)]
    mask = torch.randn(2, 1, 1, 64, generator=generator).to(dtype) if masked else None

    eager, sdpa = (
        attend(layer_of(backend, 0.25), *queries, attention_mask=mask) for backend in BACKENDS
    )

    assert eager.dtype == sdpa.dtype == dtype
    torch.testing.assert_close(sdpa, eager, atol=TOLERANCES[dtype], rtol=0)


def test_eager_attention_hands_out_weights_that_sum_to_one(generator):
    queries = draw(generator, *[(1, 2, 3, 4)] * 3)

    _, weights = eager_attention(torch.nn.Module(), *queries, None, scaling=1.0)

    assert weights.shape == (1, 2, 3, 3)
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(1, 2, 3))


@pytest.mark.parametrize(
    ("masked", "asked"), [(False, "flash_attention_2"), (True, "sdpa")], ids=["plain", "masked"]
)
def test_flash_attention_is_asked_only_where_nothing_is_masked(
    masked, asked, generator, monkeypatch
):
    calls = []
    monkeypatch.setattr(
        type(ALL_ATTENTION_FUNCTIONS),
        "get_interface",
        lambda _, name, default: calls.append(name) or eager_attention,
    )
    queries = draw(generator, *[(1, 1, 3, 4)] * 3)
    mask = torch.zeros(1, 1, 3, 3) if masked else None

    attend(layer_of("flash_attention_2", 1.0), *queries, attention_mask=mask)

    assert calls == [asked]


def test_what_objects_share_gives_each_of_them_the_same_as_its_own_copy(generator):
    attention = PromptAttention(narrow_config(), downsample_rate=2)
    query, key, value = draw(generator, (2, 3, 4, 16), (2, 1, 9, 16), (2, 1, 9, 16))

    shared = attention(query, key, value)
    own = attention(query, key.expand(-1, 3, -1, -1), value.expand(-1, 3, -1, -1))

    assert shared.shape == (2, 3, 4, 16)
    torch.testing.assert_close(shared, own, atol=TOLERANCES[torch.float32], rtol=0)


def test_shared_queries_look_at_the_keys_of_every_object(generator):
    attention = PromptAttention(narrow_config(), downsample_rate=2)
    query, key = draw(generator, (2, 1, 9, 16), (2, 3, 4, 16))

    together = attention(query, key, key)

    for index in range(3):
        alone = attention(query, key[:, [index]], key[:, [index]])
        torch.testing.assert_close(together[:, [index]], alone, atol=1e-5, rtol=0)


def test_attention_can_be_narrower_than_its_tokens():
    attention = PromptAttention(narrow_config(), downsample_rate=4)

    assert attention.q_proj.weight.shape == (4, 16)
    assert attention.o_proj.weight.shape == (16, 4)
    assert attention.scaling == 2**-0.5
