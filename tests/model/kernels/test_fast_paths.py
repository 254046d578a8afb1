"""Every faster way against the plain modules, made to take it on small inputs."""

import copy

import pytest
import torch
from peers import draw_weights, largest_difference
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from sam2_hf import Sam2Model
from sam2_hf.model import layers, memory_attention
from sam2_hf.model.attention import ImageToTokenAttention
from sam2_hf.model.image_encoder import FpnNeck
from sam2_hf.model.kernels import cpu_kernels, fast_paths
from sam2_hf.model.kernels.cpu_kernels import has_fused_product
from sam2_hf.model.two_way_transformer import TwoWayBlock
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import own_video_model

RELATIVE = 1e-5  # of the largest value: float32, summed in another order
# memories are kept in bfloat16: where rounding falls to the other side, they differ by 2 ** -8
TRACKED = 1e-3
ONE_NUMBER = torch.zeros(1)


@pytest.fixture
def taken(monkeypatch):
    """The faster ways that are taken, by name."""
    names = set()
    ways = [
        (layers, "linear"),
        (cpu_kernels, "_one_image"),
        (memory_attention, "attend_in_tiles"),
        (FpnNeck, "_merge"),
        (ImageToTokenAttention, "apply"),
        (TwoWayBlock, "_image_to_token_in_bands"),
    ]
    for owner, name in ways:
        run = getattr(owner, name)
        monkeypatch.setattr(
            owner, name, lambda *args, run=run, name=name: names.add(name) or run(*args)
        )
    return names


@pytest.fixture(scope="module")
def absorbing_model(tiny_config):
    """A small image model whose decoder is wide enough to absorb a prompt's projections."""
    config = copy.deepcopy(tiny_config)
    config.mask_decoder_config.num_attention_heads = 2
    config.mask_decoder_config.attention_downsample_rate = 1
    return draw_weights(Sam2Model(config)).eval()


def close(fast, plain, relative=RELATIVE):
    """Whether two tensors are equal up to the order of summation."""
    return largest_difference(fast, plain) <= relative * plain.abs().max().item()


def plainly(model, work):
    """Run without the faster ways."""
    model.fast = False
    try:
        return work()
    finally:
        model.fast = True


def tracked(model, frames=4):
    """Track two objects through moving noise; all logits."""
    stream = torch.Generator().manual_seed(3)
    video = torch.randint(0, 256, (frames, 64, 64, 3), generator=stream, dtype=torch.uint8).numpy()
    with Sam2VideoInferenceSession.open(video, model) as session:
        session.click(0, 1, (20, 30))
        session.click(0, 2, (45, 12))
        return torch.stack([result.logits_bhw for result in session.propagate()])


@torch.no_grad()
def test_features_are_those_of_the_plain_modules(own_model, pictures, small_steps):
    fast = own_model.get_image_embeddings(pictures)

    plain = plainly(own_model, lambda: own_model.get_image_embeddings(pictures))

    assert all(close(*pair) for pair in zip(fast, plain, strict=True))


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
def test_answers_to_clicks_are_those_of_the_plain_modules(
    absorbing_model, pictures, clicks, multimask, small_steps, taken
):
    def answer():
        return absorbing_model(pictures, multimask_output=multimask, **clicks)

    fast = answer()
    if has_fused_product(ONE_NUMBER):
        assert taken == {"linear", "_one_image", "_merge", "apply", "_image_to_token_in_bands"}
    taken.clear()
    plain = plainly(absorbing_model, answer)

    assert not taken
    assert close(fast.pred_masks, plain.pred_masks)
    assert close(fast.iou_scores, plain.iou_scores)


def test_a_tracked_clip_is_that_of_the_plain_modules(small_steps, taken):
    model = own_video_model()

    fast = tracked(model)
    ways = set(taken)
    plain = plainly(model, lambda: tracked(model))

    if has_fused_product(ONE_NUMBER):
        assert {"linear", "_one_image", "_merge", "attend_in_tiles"} <= ways
    assert close(fast, plain, TRACKED)


@pytest.mark.parametrize("reason", ["switched off", "training", "gradients", "autocast"])
def test_nothing_is_fast_where_it_may_not_be(own_model, pictures, small_steps, taken, reason):
    own_model.fast = reason != "switched off"
    own_model.train(reason == "training")

    with (
        torch.set_grad_enabled(reason == "gradients"),
        torch.autocast("cpu", torch.bfloat16, enabled=reason == "autocast"),
    ):
        own_model.vision_encoder(pictures)

    assert not taken


def test_the_switch_reads_what_was_set(own_model):
    assert own_model.fast

    own_model.fast = False

    assert not own_model.fast
    assert not own_model.vision_encoder.backbone.blocks[0].attn.fast
    assert copy.deepcopy(own_model).fast is False


@torch.no_grad()
@pytest.mark.parametrize(
    "name",
    [
        "vision_encoder.neck.convs.3.weight",
        "mask_decoder.conv_s0.bias",
        "mask_decoder.conv_s1.weight",
    ],
)
def test_another_weight_drops_what_was_merged(own_model, pictures, small_steps, name):
    own_model.get_image_embeddings(pictures)

    own_model.get_parameter(name).add_(0.5)

    fast = own_model.get_image_embeddings(pictures)
    plain = plainly(own_model, lambda: own_model.get_image_embeddings(pictures))
    assert all(close(*pair) for pair in zip(fast, plain, strict=True))


@pytest.mark.parametrize("projection", ["v_proj", "o_proj"])
def test_another_weight_drops_a_merged_projection_of_memories(small_steps, projection):
    model = own_video_model()
    before = tracked(model)

    with torch.no_grad():
        layer = model.memory_attention.layers[0].cross_attn_image.get_submodule(projection)
        layer.weight.mul_(3.0)

    fast = tracked(model)
    assert close(fast, plainly(model, lambda: tracked(model)), TRACKED)
    assert not close(fast, before, TRACKED)


@torch.no_grad()
def test_a_hook_sees_whole_layers(own_model, pictures, small_steps):
    grids = []
    block = own_model.vision_encoder.backbone.blocks[0]
    block.mlp.register_forward_hook(lambda *seen: grids.append(seen[2].shape))

    own_model.vision_encoder(pictures)

    assert grids == [(2, 16, 16, 16)]


@torch.no_grad()
def test_without_the_operator_answers_are_the_same(own_model, pictures, small_steps, monkeypatch):
    plain = plainly(own_model, lambda: own_model.get_image_embeddings(pictures))
    monkeypatch.setattr(cpu_kernels, "_works", lambda dtype, halves_in_float32: False)

    found = own_model.get_image_embeddings(pictures)

    assert all(close(*pair) for pair in zip(found, plain, strict=True))


def test_a_model_of_random_weights_is_told_apart(own_model, pictures):
    """The comparisons above can fail: another weight moves features by far more than rounding."""
    other = draw_weights(copy.deepcopy(own_model), seed=1)
    with torch.no_grad():
        pair = (own_model.get_image_embeddings(pictures), other.get_image_embeddings(pictures))

    assert not any(close(*maps) for maps in zip(*pair, strict=True))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
def test_adapters_are_not_passed_by(absorbing_model, pictures, clicks, small_steps):
    peft = pytest.importorskip("peft", reason="adapters need peft")
    projections = ["q_proj", "k_proj", "v_proj", "o_proj"]
    config = peft.LoraConfig(target_modules=projections, init_lora_weights=False)
    model = peft.get_peft_model(copy.deepcopy(absorbing_model), config).eval()

    fast = model(pictures, **clicks).pred_masks
    plain = plainly(model.get_base_model(), lambda: model(pictures, **clicks).pred_masks)

    assert close(fast, plain)
    assert not close(fast, absorbing_model(pictures, **clicks).pred_masks)


@torch.no_grad()
def test_what_a_hook_was_given_stays_as_it_was(absorbing_model, pictures, clicks, small_steps):
    model, kept = copy.deepcopy(absorbing_model), []
    layer = model.mask_decoder.transformer.layers[0]
    layer.register_forward_hook(lambda *seen: kept.extend((seen[2][1], seen[2][1].clone())))

    model(pictures, **clicks)

    assert torch.equal(*kept)


@torch.no_grad()
def test_a_recording_does_not_end_the_faster_ways(own_model, pictures, small_steps, taken):
    own_model.vision_encoder(pictures, output_attentions=True)
    assert "_one_image" not in taken

    own_model.vision_encoder(pictures)

    assert "_one_image" in taken


def hook_all(blocks):
    handles = [block.mlp.register_forward_hook(lambda *_: None) for block in blocks]
    return lambda: [handle.remove() for handle in handles]


def hook_everywhere(blocks):
    return register_module_forward_pre_hook(lambda *_: None).remove


def wrap_all(blocks):
    layers = [block.mlp.proj_in for block in blocks]
    for block in blocks:
        block.mlp.proj_in = nn.Sequential(block.mlp.proj_in)
    return lambda: [setattr(b.mlp, "proj_in", one) for b, one in zip(blocks, layers, strict=True)]


def replace_forward_passes(blocks):
    for block in blocks:
        block.layer_norm2.forward = type(block.layer_norm2).forward.__get__(block.layer_norm2)
    return lambda: [vars(block.layer_norm2).pop("forward") for block in blocks]


def train_all(blocks):
    blocks.train()
    return blocks.eval


def switch_off(blocks):
    for block in blocks:
        block.fast = False
    return lambda: [setattr(block, "fast", True) for block in blocks]


CHANGES = (
    hook_all,
    hook_everywhere,
    wrap_all,
    replace_forward_passes,
    train_all,
    switch_off,
)


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES, ids=lambda one: one.__name__)
def test_what_changes_between_two_calls_is_noticed_by_the_next(
    own_model, pictures, small_steps, taken, change
):
    blocks = own_model.vision_encoder.backbone.blocks
    own_model.vision_encoder(pictures)
    assert "_one_image" in taken
    taken.clear()

    undo = change(blocks)
    own_model.vision_encoder(pictures)
    assert "_one_image" not in taken

    undo()
    own_model.vision_encoder(pictures)
    assert "_one_image" in taken


@torch.no_grad()
def test_a_part_asks_once_for_all_of_its_modules(absorbing_model, pictures, clicks, monkeypatch):
    walk, walks = fast_paths._walk_unmodified, []
    monkeypatch.setattr(
        fast_paths,
        "_walk_unmodified",
        lambda *args, **named: walks.append(1) or walk(*args, **named),
    )

    absorbing_model(pictures, **clicks)

    # trunk, neck, prompt encoder and mask decoder; and again the neck, with layers of the decoder
    assert len(walks) == 5


@torch.no_grad()
def test_a_module_that_opens_autocast_inside_a_part_is_heard(
    absorbing_model, pictures, clicks, small_steps, taken
):
    class Cast(nn.Module):
        def __init__(self, layer):
            super().__init__()
            self.layer = layer

        def forward(self, *args):
            with torch.autocast("cpu", torch.bfloat16):
                return [values.float() for values in self.layer(*args)]

    model = copy.deepcopy(absorbing_model)
    model(pictures, **clicks)
    assert {"apply", "_image_to_token_in_bands"} <= taken
    taken.clear()

    model.mask_decoder.transformer = Cast(model.mask_decoder.transformer)
    model(pictures, **clicks)

    assert not {"apply", "_image_to_token_in_bands"} & taken


@torch.no_grad()
def test_a_pass_that_fails_leaves_no_decision_behind(own_model, pictures, small_steps):
    trunk, grids = own_model.vision_encoder.backbone, []
    with pytest.raises(RuntimeError):
        trunk(pictures[:, :1])

    trunk.blocks[0].mlp.register_forward_hook(lambda *seen: grids.append(seen[2].shape))
    trunk.blocks[0](torch.zeros(1, 16, 16, 16))

    assert grids == [(1, 16, 16, 16)]
