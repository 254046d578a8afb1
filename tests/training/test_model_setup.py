from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sam2_hf.data.clip import collate
from sam2_hf.errors import TrainingError
from sam2_hf.model.attention import PromptAttention
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.training.model_setup import make_model
from sam2_hf.training.synthetic.regions import region_clip
from tests.small_families import CONFIGS
from tests.training.small_runs import config_of, settings

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def config(world):
    return config_of(settings(world))


def test_a_model_begins_with_its_weights_ready_to_learn(config, world):
    model = make_model(config)

    stored = load_file(world / "model" / "model.safetensors")
    assert all(model.state_dict()[name].equal(tensor) for name, tensor in stored.items())
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_weights_learn_in_float32_whatever_they_are_stored_in(config, world, tmp_path):
    make_model(config).bfloat16().save_pretrained(tmp_path / "half")

    model = make_model(replace(config, model=str(tmp_path / "half")))

    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_weights_from_scratch_follow_from_the_seed(config):
    fresh = replace(config, from_scratch=True)
    before = torch.get_rng_state()

    one, same, other = (make_model(replace(fresh, seed=seed)) for seed in (1, 1, 2))

    name = "mask_decoder.mask_tokens.weight"
    assert one.get_parameter(name).equal(same.get_parameter(name))
    assert not one.get_parameter(name).equal(other.get_parameter(name))
    assert not one.get_parameter(name).equal(make_model(config).get_parameter(name))
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("from_scratch", [True, False])
def test_another_input_size_keeps_every_weight_and_changes_every_grid(config, from_scratch):
    wide = make_model(replace(config, image_size=96, from_scratch=from_scratch))

    assert wide.image_size == wide.config.image_size == 96
    assert wide.config.memory_attention_rope_feat_sizes == [6, 6]
    plain = make_model(replace(config, from_scratch=from_scratch)).state_dict()
    assert all(wide.state_dict()[name].equal(tensor) for name, tensor in plain.items())
    assert not any(parameter.is_meta for parameter in wide.parameters())


def test_an_impossible_input_size_is_refused(config):
    with pytest.raises(TrainingError, match="image_size is 100"):
        make_model(replace(config, image_size=100))


def test_drop_path_and_frozen_parts_are_set(config):
    model = make_model(replace(config, drop_path=0.3, frozen=("vision_encoder.*",)))

    blocks = model.vision_encoder.backbone.blocks
    assert [block.drop_path for block in blocks] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert not any(p.requires_grad for p in model.vision_encoder.parameters())
    assert all(p.requires_grad for p in model.mask_decoder.parameters())


def test_gradient_checkpointing_reaches_the_trunk(config):
    model = make_model(replace(config, gradient_checkpointing=True))

    assert all(b.gradient_checkpointing for b in model.vision_encoder.backbone.blocks)


def test_a_drawn_decoder_looks_at_its_own_place_and_believes_in_objects(config):
    decoder = make_model(replace(config, from_scratch=True)).mask_decoder

    attentions = {n: m for n, m in decoder.named_modules() if isinstance(m, PromptAttention)}
    across = [one for name, one in attentions.items() if not name.endswith("self_attn")]
    within = [one for name, one in attentions.items() if name.endswith("self_attn")]
    assert len(across) == 2 * len(within) + 1  # in each layer both ways, and once at the end
    assert all(one.k_proj.weight.equal(one.q_proj.weight) for one in across)
    assert not any(one.k_proj.weight.equal(one.q_proj.weight) for one in within)
    assert decoder.pred_obj_score_head.proj_out.bias.item() > 0


def test_a_drawn_decoder_speaks_of_all_cells_of_a_mask_in_one_way(config):
    decoder = make_model(replace(config, from_scratch=True)).mask_decoder

    for conv in (decoder.upscale_conv1, decoder.upscale_conv2):
        assert conv.weight.std() > 0
        assert conv.weight.equal(conv.weight[..., :1, :1].expand_as(conv.weight))


def test_what_a_drawn_model_sees_outweighs_what_all_pixels_share(config):
    model = make_model(replace(config, from_scratch=True)).eval()
    rng = np.random.default_rng(9)
    seen = collate([region_clip(rng, 64) for _ in range(8)], [0] * 8, "regions")

    with torch.no_grad():
        cells = model.encode_image(seen.clips_bt3hw[:, 0]).embedding_bchw

    common = cells.mean(dim=(0, 2, 3), keepdim=True)
    assert (cells - common).std() > common.std()
    assert model.prompt_encoder.no_mask_embed.weight.std() < 0.1


GLOBAL = "vision_config.backbone_config.global_attention_blocks"


@pytest.mark.parametrize("from_scratch", [True, False])
def test_settings_of_the_models_config_can_be_changed_with_its_weights_kept(config, from_scratch):
    plain = replace(config, from_scratch=from_scratch)

    changed = make_model(replace(plain, architecture={GLOBAL: (2, 3)}))

    assert changed.config.vision_config.backbone_config.global_attention_blocks == [2, 3]
    assert [block.window_size for block in changed.vision_encoder.backbone.blocks][2:] == [0, 0]
    before = make_model(plain).state_dict()
    # a drawn neck is scaled by what the trunk makes of some pictures
    kept = [name for name in before if not (from_scratch and ".neck." in name)]
    assert all(changed.state_dict()[name].equal(before[name]) for name in kept)


def test_a_setting_that_the_config_does_not_have_is_refused(config):
    wrong = replace(config, architecture={"vision_config.windows": 16})

    with pytest.raises(TrainingError, match=r"architecture has vision_config\.windows"):
        make_model(wrong)


def test_weights_that_do_not_fit_the_architecture_are_refused(config):
    wide = replace(config, architecture={"mask_decoder_config.mlp_dim": 96})

    with pytest.raises(TrainingError, match="do not fit the architecture"):
        make_model(wide)


@pytest.mark.parametrize("family", ["edgetam", "sam3_tracker"])
def test_a_trunk_without_stochastic_depth_is_trained_without(config, family, tmp_path):
    Sam2VideoModel(CONFIGS[family]()).save_pretrained(tmp_path)
    own = replace(config, model=str(tmp_path), image_size=None)

    assert make_model(replace(own, drop_path=0.0)).training
    with pytest.raises(TrainingError, match=r"the drop path rate is 0\.1"):
        make_model(replace(own, drop_path=0.1))
