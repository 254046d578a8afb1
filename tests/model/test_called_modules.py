"""Users hook, adapt, wrap, compile and replace modules: whatever stands in a place is called."""

import copy
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from peers import largest_difference
from torch import nn
from torch._dynamo.testing import CompileCounter
from torch.nn.modules.module import register_module_forward_hook

from sam2_hf import Sam2Model
from sam2_hf.model.hiera import HieraBlock
from sam2_hf.model.image_encoder import Sam2VisionModel
from sam2_hf.training.objective import Sam2VideoForTraining
from sam2_hf.training.prompt_simulation import PromptSchedule
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.drawn_video import drawn_video_model, every_answer, noise_clip, own_video_model
from tests.training.moving_shapes import two_clips

SAME = 2e-4  # of the largest value: random weights amplify another order of summation
ADAPTED = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)
COMPILED = (
    ("vision_encoder", False),
    ("vision_encoder", True),
    ("vision_encoder.neck", False),
    ("vision_encoder.backbone.blocks.0.mlp", False),
    ("mask_decoder.conv_s0", False),
    ("mask_decoder.upscale_conv2", False),
    ("memory_encoder.projection", False),
)


class Wrapper(nn.Module):
    """A layer inside another module that has nothing of it but its call, and counts."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.calls = 0

    def forward(self, *args, **kwargs):
        self.calls += 1
        return self.layer(*args, **kwargs)


class Adapter(nn.Module):
    """A layer and a second one of its kind whose answer is added, as in LoRA."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer
        self.added = copy.deepcopy(layer)
        for weight in self.added.parameters():
            nn.init.normal_(weight, std=0.05)

    def forward(self, values):
        return self.layer(values) + self.added(values)


def leaves(model, kinds=nn.Module):
    """Every layer with parameters of its own, by name."""
    return {
        name: layer
        for name, layer in model.named_modules()
        if isinstance(layer, kinds) and not list(layer.children()) and list(layer.parameters())
    }


def callable_modules(model):
    """The names of all modules below the model that can be called."""
    return {
        name
        for name, module in model.named_modules()
        if name and not isinstance(module, nn.ModuleList)
    }


def replace(model, name, module):
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)


def alike(found, expected):
    return all(
        largest_difference(*pair) <= SAME * pair[1].abs().max().item()
        for pair in zip(found, expected, strict=True)
    )


@contextmanager
def calls_of(model):
    """The names of modules as they are called."""
    seen = set()
    handles = [
        module.register_forward_hook(lambda *_, name=name: seen.add(name))
        for name, module in model.named_modules()
    ]
    yield seen
    for handle in handles:
        handle.remove()


def tracked(model):
    with Sam2VideoInferenceSession.open(noise_clip(3), model) as session:
        session.click(0, 1, (20, 30))
        session.click(0, 1, (40, 12), positive=False)
        session.box(0, 2, (5, 5, 40, 30))
        session.mask(0, 3, np.ones((48, 72), bool))
        return [result.logits_bhw for result in session.propagate()]


@torch.no_grad()
@pytest.mark.parametrize("fast", [True, False])
def test_every_module_is_called_for_a_photo(own_model, pictures, clicks, boxes, mask_prompts, fast):
    own_model.fast = fast

    with calls_of(own_model) as called:
        own_model(pictures, input_boxes=boxes, input_masks=mask_prompts, **clicks)

    assert not callable_modules(own_model) - called


@torch.no_grad()
def test_hooks_on_the_mask_decoder_fire_in_everything_mode(own_model, embeddings, clicks):
    one_photo = [level[:1] for level in embeddings]
    points, labels = clicks["input_points"][:1], clicks["input_labels"][:1]

    def found(multimask):
        return own_model.decode_gated(
            one_photo, points, labels, multimask_output=multimask, min_iou=0.5
        )

    plain = [found(multimask) for multimask in (True, False)]
    with calls_of(own_model) as called:
        hooked = [found(multimask) for multimask in (True, False)]

    assert "mask_decoder" in called
    for one, other in zip(hooked, plain, strict=True):
        assert torch.equal(one.prompt_m, other.prompt_m)
        assert alike([one.logits_mhw, one.iou_m], [other.logits_mhw, other.iou_m])


@pytest.mark.parametrize("fast", [True, False])
def test_every_module_is_called_in_a_video(fast):
    model = own_video_model()
    model.fast = fast

    with calls_of(model) as called:
        tracked(model)

    # only a session that is given logits shrinks no mask of its own
    assert callable_modules(model) - called <= {"prompt_encoder.mask_embed"}


def test_every_module_is_called_and_learns_in_training():
    model = own_video_model().train()
    clips, labels = two_clips()
    schedule = PromptSchedule(first_mask=0.0, corrections=1, max_prompted_frames=1)

    with calls_of(model) as called:
        training = Sam2VideoForTraining(model, schedule)
        training(clips, labels, seeds=torch.tensor([1, 2]), plan_seed=1).loss.backward()

    layers = leaves(model)
    assert {name for name in layers if name not in called} <= {"mask_downsample"}
    silent = {name for name, layer in layers.items() if layer.weight.grad is None}
    assert silent <= {"mask_downsample"}


@torch.no_grad()
def test_hooks_for_all_modules_see_every_layer(own_model, pictures, clicks):
    seen = set()
    handle = register_module_forward_hook(lambda module, *_: seen.add(id(module)))
    try:
        own_model(pictures, **clicks)
    finally:
        handle.remove()

    layers = leaves(own_model)
    assert {name for name in layers if id(layers[name]) not in seen} == {
        name for name in layers if ".mask_embed." in name
    }


@torch.no_grad()
def test_layers_may_be_wrapped_in_modules_that_have_nothing_but_a_call(small_steps):
    model = own_video_model()
    plain = every_answer(model)
    for name, layer in leaves(model).items():
        replace(model, name, Wrapper(layer))

    wrapped = every_answer(model)

    assert alike(wrapped, plain)
    modules = dict(model.named_modules())
    assert not [n for n, one in modules.items() if isinstance(one, Wrapper) and not one.calls]


@torch.no_grad()
def test_an_adapter_on_any_layer_changes_the_answers(small_steps):
    model = own_video_model()
    model.mask_decoder.config.dynamic_multimask_via_stability = False  # or another mask is chosen
    plain = every_answer(model)

    unheard = []
    for name, layer in leaves(model, ADAPTED).items():
        replace(model, name, Adapter(layer))
        found = every_answer(model)
        replace(model, name, layer)
        if all(torch.equal(*pair) for pair in zip(found, plain, strict=True)):
            unheard.append(name)

    assert len(leaves(model, ADAPTED)) > 100
    assert not unheard
    assert all(torch.equal(*pair) for pair in zip(every_answer(model), plain, strict=True))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_adapters_on_all_layers_learn(mode, small_steps):
    model = own_video_model().requires_grad_(False)
    model.mask_decoder.config.dynamic_multimask_via_stability = False  # or another mask is chosen
    for name, layer in leaves(model, ADAPTED).items():
        replace(model, name, Adapter(layer))
    for name, weight in model.named_parameters():
        weight.requires_grad_(".added." in name)
    getattr(model, mode)()

    sum(answer.square().mean() for answer in every_answer(model)).backward()

    learning = {n: w for n, w in model.named_parameters() if w.requires_grad}
    # a key's bias adds the same to all scores, which softmax takes away
    assert not [
        name
        for name, weight in learning.items()
        if (weight.grad is None or not weight.grad.any()) and not name.endswith("k_proj.added.bias")
    ]


@torch.no_grad()
@pytest.mark.parametrize(("name", "in_place"), COMPILED)
def test_a_compiled_module_is_what_runs(name, in_place):
    model = own_video_model()
    plain = every_answer(model)
    counter = CompileCounter()
    module = model.get_submodule(name)

    if in_place:
        module.compile(backend=counter)
    else:
        replace(model, name, torch.compile(module, backend=counter))
    found = every_answer(model)

    assert counter.frame_count > 0
    assert alike(found, plain)


@torch.no_grad()
@pytest.mark.parametrize("owner", ["instance", "class"])
@pytest.mark.parametrize(
    "name", ["vision_encoder.neck", "mask_decoder.transformer.layers.0.cross_attn_image_to_token"]
)
def test_a_forward_pass_that_was_replaced_is_called(
    own_model, pictures, clicks, name, owner, monkeypatch
):
    module, calls = own_model.get_submodule(name), []
    place = module if owner == "instance" else type(module)
    run = place.forward
    monkeypatch.setattr(place, "forward", lambda *args: calls.append(1) or run(*args))

    own_model(pictures, **clicks)

    assert calls


@torch.no_grad()
def test_a_subclass_of_a_layer_is_called(own_model, pictures):
    class Doubled(nn.Conv2d):
        def forward(self, values):
            return 2 * super().forward(values)

    plain = own_model.get_image_embeddings(pictures)[0]
    conv = own_model.mask_decoder.conv_s0
    doubled = Doubled(conv.in_channels, conv.out_channels, 1)
    doubled.load_state_dict(conv.state_dict())
    own_model.mask_decoder.conv_s0 = doubled

    assert alike([own_model.get_image_embeddings(pictures)[0]], [2 * plain])


@torch.no_grad()
def test_a_convolution_of_another_kernel_is_taken_as_it_is(own_model, pictures, clicks):
    decoder = own_model.mask_decoder
    wide = nn.Conv2d(decoder.conv_s0.in_channels, decoder.conv_s0.out_channels, 3, padding=1)
    nn.init.zeros_(wide.weight)
    wide.weight[:, :, 1, 1] = decoder.conv_s0.weight[:, :, 0, 0]
    wide.bias.copy_(decoder.conv_s0.bias)
    plain = own_model(pictures, **clicks).pred_masks

    decoder.conv_s0 = wide

    assert alike([own_model(pictures, **clicks).pred_masks], [plain])


@torch.no_grad()
def test_a_parametrized_weight_is_read_at_every_call(own_model, pictures):
    class Scaled(nn.Module):
        factor = 1.0

        def forward(self, weight):
            return weight * self.factor

    scaled = Scaled()
    conv = own_model.vision_encoder.neck.convs[-1]
    plain = own_model.get_image_embeddings(pictures)[0]
    nn.utils.parametrize.register_parametrization(conv, "weight", scaled)

    same = own_model.get_image_embeddings(pictures)[0]
    scaled.factor = 2.0
    other = own_model.get_image_embeddings(pictures)[0]

    assert alike([same], [plain])
    assert not alike([other], [plain])


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:.*deprecated")
def test_layers_quantized_by_torch_are_called():
    video = own_video_model()
    quantized = torch.ao.quantization.quantize_dynamic(video, {nn.Linear}, torch.qint8)

    pairs = zip(every_answer(quantized), every_answer(drawn_video_model()), strict=True)

    assert all(one.isfinite().all() for one, _ in pairs)
    assert not list(leaves(quantized, nn.Linear))


@torch.no_grad()
def test_swapped_weights_of_a_functional_call_are_read(own_model, pictures):
    other = {name: weight * 1.5 for name, weight in own_model.named_parameters()}
    expected = copy.deepcopy(own_model)
    expected.load_state_dict(other, strict=False)
    own_model.vision_encoder(pictures)

    prefix = "vision_encoder."
    given = {n.removeprefix(prefix): w for n, w in other.items() if n.startswith(prefix)}
    found = torch.func.functional_call(own_model.vision_encoder, given, (pictures,))

    wanted = expected.vision_encoder(pictures)
    assert alike(found.fpn_hidden_states, wanted.fpn_hidden_states)


def test_what_is_watched_does_not_change_the_answers(own_model, pictures, clicks):
    with torch.no_grad():
        plain = own_model(pictures, **clicks)
        with calls_of(own_model):
            watched = own_model(pictures, **clicks)

    assert alike([watched.pred_masks, watched.iou_scores], [plain.pred_masks, plain.iou_scores])


def test_classes_of_users_are_not_taken_for_the_models_own(own_model, pictures):
    """A subclass of a block may do anything, so its parts are left to it."""

    class Block(HieraBlock):
        def forward(self, tokens_bhwc):
            return torch.zeros_like(super().forward(tokens_bhwc))

    class Encoder(Sam2VisionModel):
        def forward(self, *args, **kwargs):
            Encoder.calls += 1
            return super().forward(*args, **kwargs)

    Encoder.calls = 0
    own_model.vision_encoder.backbone.blocks[0].__class__ = Block
    own_model.vision_encoder.__class__ = Encoder
    with torch.no_grad():
        found = own_model.vision_encoder.backbone.blocks[0](torch.ones(1, 16, 16, 16))
        own_model.get_image_embeddings(pictures)

    assert not found.any()
    assert Encoder.calls == 1
    assert type(own_model) is Sam2Model
