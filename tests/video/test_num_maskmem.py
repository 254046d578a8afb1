"""`model.num_maskmem` is how many memories a frame looks at, in sessions and in training."""

import pytest
import torch

from sam2_hf import Sam2VideoInferenceSession, Sam2VideoModel
from sam2_hf.training.objective import Sam2VideoForTraining
from tests.drawn_video import drawn_video_model, noise_clip, own_video_model
from tests.small_checkpoint import small_config


def tracked(model, **options):
    """Logits of every frame after a click on the first, two objects."""
    session = Sam2VideoInferenceSession.open(noise_clip(), model, **options)
    session.click(frame=0, object_id=1, xy=(20, 20))
    session.click(frame=0, object_id=2, xy=(50, 30))
    with torch.no_grad():
        return [found.pred_masks.clone() for found in model.propagate_in_video_iterator(session)]


def cut(number):
    """The model whose table of ages has only so many rows, as one trained with fewer memories."""
    model = own_video_model()
    weights = model.state_dict()
    table = "memory_temporal_positional_encoding"
    weights[table] = weights[table][:number]
    small = Sam2VideoModel(small_config(num_maskmem=number))
    small.load_state_dict(weights)
    return small.eval()


def differ(first, second):
    return not all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("number", [1, 3, 6])
def test_fewer_memories_give_what_a_model_of_so_many_gives(number):
    model = own_video_model()
    full = tracked(model)

    model.num_maskmem = number
    fewer = tracked(model)

    assert differ(fewer, full)
    assert not differ(fewer, tracked(cut(number)))


def test_the_setting_can_be_taken_back_and_is_not_saved(tmp_path):
    model = own_video_model()
    before = tracked(model)

    model.num_maskmem = 2
    model.save_pretrained(tmp_path)
    model.num_maskmem = 7

    assert not differ(tracked(model), before)
    assert Sam2VideoModel.from_pretrained(tmp_path).num_maskmem == 7


def test_without_memories_every_frame_is_segmented_by_itself():
    model = own_video_model()
    model.num_maskmem = 0

    found = tracked(model)

    features = model.encode_image(torch.zeros(1, 3, 64, 64))
    assert model.condition_on_memory(features, None) is not None
    assert torch.equal(model.condition_on_memory(features, None), features.embedding_bchw)
    assert len(found) == len(noise_clip())
    assert found[1].shape == found[0].shape


@pytest.mark.parametrize("number", [-1, 8, 2.5, True, None, "3"])
def test_memories_without_a_code_of_their_age_are_refused(number):
    model = own_video_model()

    with pytest.raises(ValueError, match="0 to 7"):
        model.num_maskmem = number


def test_training_looks_at_as_many_memories():
    model = own_video_model()
    model.num_maskmem = 3

    assert Sam2VideoForTraining(model).memory_rules.num_memories == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_maskmem", 2),
        ("max_object_pointers_in_encoder", 2),
        ("sigmoid_scale_for_mem_enc", 5.0),
        ("sigmoid_bias_for_mem_enc", -2.0),
        ("multimask_output_for_tracking", False),
    ],
)
def test_a_field_of_the_config_counts_as_soon_as_it_is_set(field, value):
    model = own_video_model()
    before = tracked(model)

    setattr(model.config, field, value)

    assert differ(tracked(model), before)


def test_sizes_can_be_read_under_transformers_names():
    model = drawn_video_model()

    assert (model.mem_dim, model.hidden_dim, model.image_size) == (16, 32, 64)
    assert model.num_feature_levels == 3
    assert model.backbone_feature_sizes == [[16, 16], [8, 8], [4, 4]]


def test_feature_sizes_can_be_set_as_for_another_input_size():
    model = own_video_model()

    model.backbone_feature_sizes = [(32, 32), (16, 16), (8, 8)]

    assert model.config.vision_config.backbone_feature_sizes == [[32, 32], [16, 16], [8, 8]]
