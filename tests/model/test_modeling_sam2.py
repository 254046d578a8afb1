import copy

import pytest
import torch
from peers import draw_weights, largest_difference, peer_of
from torch.utils.flop_counter import FlopCounterMode

from sam2_hf import Sam2Config, Sam2Model, Sam2VideoModel
from sam2_hf.model.configs.configuration_sam2 import with_image_size

SAME_SUMS = 5e-5  # logits are of order 3 and pass a hundred sums, each right to seven digits
# The same for half precision, whose sums are right to three digits and to two and a half.
BACKEND_TOLERANCES = {torch.float32: 5e-5, torch.float16: 0.05, torch.bfloat16: 0.4}
ANSWER = ("iou_scores", "pred_masks", "object_score_logits")


def assert_same_answers(ours, theirs, tolerance=SAME_SUMS):
    for name in ANSWER:
        assert largest_difference(ours[name], theirs[name]) <= tolerance, name


@torch.no_grad()
@pytest.mark.parametrize(("multimask", "num_masks"), [(True, 3), (False, 1)])
def test_every_object_of_every_picture_gets_masks_scores_and_presence(
    drawn_model, pictures, clicks, multimask, num_masks
):
    answer = drawn_model(pictures, **clicks, multimask_output=multimask)

    assert answer.pred_masks.shape == (2, 3, num_masks, 16, 16)
    assert answer.iou_scores.shape == (2, 3, num_masks)
    assert answer.object_score_logits.shape == (2, 3, 1)
    assert [level.shape[1:] for level in answer.image_embeddings] == [
        (4, 16, 16),
        (8, 8, 8),
        (32, 4, 4),
    ]
    assert answer.vision_hidden_states is answer.vision_attentions is None


@torch.no_grad()
def test_pictures_in_a_batch_do_not_see_each_other(drawn_model, pictures, clicks):
    together = drawn_model(pictures, **clicks)

    for index in range(2):
        own = {name: value[[index]] for name, value in clicks.items()}
        alone = drawn_model(pictures[[index]], **own)
        assert_same_answers({name: together[name][[index]] for name in ANSWER}, alone)


@torch.no_grad()
def test_an_encoded_picture_answers_like_the_picture(drawn_model, pictures, clicks):
    from_pictures = drawn_model(pictures, **clicks)

    encoded = drawn_model.get_image_embeddings(pictures)
    from_embeddings = drawn_model(image_embeddings=encoded, **clicks)
    again = drawn_model(image_embeddings=from_pictures.image_embeddings, **clicks)

    assert_same_answers(from_embeddings, from_pictures, tolerance=0)
    assert_same_answers(again, from_pictures, tolerance=0)


@torch.no_grad()
@pytest.mark.parametrize("objects", [1, 3])
def test_answering_leaves_an_encoded_picture_as_it_is(drawn_model, pictures, clicks, objects):
    encoded = drawn_model.get_image_embeddings(pictures)
    before = [level.clone() for level in encoded]

    drawn_model(
        image_embeddings=encoded, **{name: value[:, :objects] for name, value in clicks.items()}
    )

    assert all(map(torch.equal, encoded, before))


def test_encoding_records_no_gradients_and_answering_does(drawn_model, pictures, clicks):
    assert not any(level.requires_grad for level in drawn_model.get_image_embeddings(pictures))
    assert drawn_model(pictures, **clicks).pred_masks.requires_grad


def test_a_gradient_reaches_every_weight(drawn_model, pictures, clicks, boxes, mask_prompts):
    model = copy.deepcopy(drawn_model).train()
    everything = model(pictures, **clicks, input_boxes=boxes, input_masks=mask_prompts)
    one_mask = model(pictures, **clicks, multimask_output=False)

    loss = sum(answer[name].square().mean() for answer in (everything, one_mask) for name in ANSWER)
    loss.backward()

    # a bias of the keys adds the same to all products of a query, which softmax does not see
    reached = {name for name, weight in model.named_parameters() if weight.grad.any()}
    unreached = {name for name, _ in model.named_parameters()} - reached
    assert {name for name in unreached if not name.endswith("k_proj.bias")} == set()
    assert model.prompt_encoder.point_embed.weight.grad.any(dim=1).all()


@torch.no_grad()
@pytest.mark.parametrize("size", [96, 256, 512])
def test_any_input_size_answers_like_transformers(tiny_config, size, generator):
    model = draw_weights(Sam2Model(with_image_size(tiny_config, size))).eval()
    pictures = torch.randn(1, 3, size, size, generator=generator)
    points = torch.rand(1, 2, 1, 2, generator=generator) * size

    ours, theirs = (each(pictures, input_points=points) for each in (model, peer_of(model)))

    assert ours.pred_masks.shape == (1, 2, 3, size // 4, size // 4)
    assert_same_answers(ours, theirs)


@torch.no_grad()
@pytest.mark.parametrize("dtype", BACKEND_TOLERANCES)
def test_sdpa_answers_like_eager_attention(drawn_model, pictures, clicks, dtype):
    eager, sdpa = (copy.deepcopy(drawn_model).to(dtype) for _ in range(2))
    eager.set_attn_implementation("eager")

    answers = [model(pictures, **clicks) for model in (eager, sdpa)]

    assert answers[0].pred_masks.dtype == answers[1].pred_masks.dtype == dtype
    assert_same_answers(*answers, tolerance=BACKEND_TOLERANCES[dtype])


@torch.no_grad()
def test_what_the_parts_did_is_handed_out_on_request(own_model, pictures, clicks):
    depth = sum(own_model.config.vision_config.backbone_config.blocks_per_stage)

    answer = own_model(pictures, **clicks, output_hidden_states=True, output_attentions=True)

    assert len(answer.vision_hidden_states) == depth + 1
    assert answer.vision_hidden_states[0].shape == (2, 16, 16, 16)
    assert len(answer.vision_attentions) == depth
    assert answer.vision_attentions[0].shape == (32, 4, 4, 16)
    assert [found.shape for found in answer.mask_decoder_attentions] == [(6, 1, 16, 32)] * 2


@torch.no_grad()
def test_recorded_values_equal_transformers(own_model, peer_model, pictures, clicks):
    options = {"output_hidden_states": True, "output_attentions": True}

    ours, theirs = (each(pictures, **clicks, **options) for each in (own_model, peer_model))

    for name in ("vision_hidden_states", "vision_attentions", "mask_decoder_attentions"):
        assert len(ours[name]) == len(theirs[name]) > 0
        for our_value, their_value in zip(ours[name], theirs[name], strict=True):
            assert largest_difference(our_value, their_value) <= SAME_SUMS, name


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
def test_a_tuple_holds_the_same_values(own_model, pictures, clicks, multimask):
    options = {"multimask_output": multimask, "output_attentions": True}

    by_name = own_model(pictures, **clicks, **options)
    by_place = own_model(pictures, **clicks, **options, return_dict=False)

    assert isinstance(by_place, tuple)
    for value, expected in zip(by_place, by_name.to_tuple(), strict=True):
        pairs = zip(value, expected, strict=True)
        assert all(torch.equal(one, other) for one, other in pairs)


@torch.no_grad()
def test_image_features_equal_transformers(own_model, peer_model, pictures):
    ours, theirs = (
        each.get_image_features(pictures, output_hidden_states=True)
        for each in (own_model, peer_model)
    )

    assert [tuple(level.shape) for level in ours.fpn_hidden_states] == [
        (256, 2, 4),
        (64, 2, 8),
        (16, 2, 32),
    ]
    assert len(ours.hidden_states) == len(theirs.hidden_states)
    for name in ("fpn_hidden_states", "fpn_position_encoding"):
        for our_map, their_map in zip(ours[name], theirs[name], strict=True):
            assert largest_difference(our_map, their_map) <= SAME_SUMS


@torch.no_grad()
def test_image_features_may_be_a_tuple(drawn_model, pictures):
    features = drawn_model.get_image_features(pictures)

    as_tuple = drawn_model.get_image_features(pictures, return_dict=False)

    assert torch.equal(as_tuple[0], features.last_hidden_state)
    assert len(as_tuple) == 3


def test_image_embeddings_equal_transformers(peer_model, pictures, embeddings):
    theirs = peer_model.get_image_embeddings(pictures)

    for our_map, their_map in zip(embeddings, theirs, strict=True):
        assert largest_difference(our_map, their_map) <= SAME_SUMS


@pytest.mark.parametrize("with_mask", [True, False])
def test_prompt_embeddings_equal_transformers(
    drawn_model, peer_model, clicks, boxes, mask_prompts, with_mask
):
    prompts = [clicks["input_points"], clicks["input_labels"], boxes]
    prompts.append(mask_prompts[:, :1] if with_mask else None)

    ours, theirs = (each.get_prompt_embeddings(*prompts) for each in (drawn_model, peer_model))

    for our_value, their_value in zip(ours, theirs, strict=True):
        assert largest_difference(our_value, their_value) <= SAME_SUMS


def test_prompt_embeddings_have_a_map_for_each_objects_mask(drawn_model, clicks, mask_prompts):
    _, dense = drawn_model.get_prompt_embeddings(**clicks, input_masks=mask_prompts)

    assert dense.shape == (2 * 3, 32, 4, 4)


@torch.no_grad()
@pytest.mark.parametrize("multimask", [True, False])
def test_embedded_prompts_are_answered_like_prompts(drawn_model, embeddings, clicks, multimask):
    embedded = drawn_model.get_prompt_embeddings(**clicks)

    decoded = drawn_model.decode_prompts(embeddings, embedded, multimask_output=multimask)

    answer = drawn_model(image_embeddings=embeddings, **clicks, multimask_output=multimask)
    assert torch.equal(decoded.logits_bpmhw, answer.pred_masks)
    assert torch.equal(decoded.iou_bpm, answer.iou_scores)


@torch.no_grad()
def test_a_prompt_may_have_no_token_at_all(drawn_model, embeddings, clicks, mask_prompts):
    tokens, dense = drawn_model.get_prompt_embeddings(**clicks, input_masks=mask_prompts)

    decoded = drawn_model.decode_prompts(
        embeddings, (tokens[:, :, :0], dense), multimask_output=True
    )

    slow = copy.deepcopy(drawn_model)
    slow.fast = False
    plain = slow.decode_prompts(embeddings, (tokens[:, :, :0], dense), multimask_output=True)
    assert decoded.logits_bpmhw.shape == (2, 3, 3, 16, 16)
    assert largest_difference(decoded.logits_bpmhw, plain.logits_bpmhw) <= SAME_SUMS


@torch.no_grad()
def test_an_image_model_made_of_a_video_model_shares_its_weights(tiny_video_config, pictures):
    video_model = draw_weights(Sam2VideoModel(tiny_video_config)).eval()

    model = Sam2Model.from_video_model(video_model)

    own = Sam2Model(Sam2Config.from_dict(model.config.to_dict())).eval()
    own.load_state_dict(model.state_dict())
    points = torch.tensor([[[[20.0, 30.0]]]]).expand(2, -1, -1, -1)
    assert_same_answers(model(pictures, input_points=points), own(pictures, input_points=points))
    assert model.config.model_type == "sam2"
    assert not model.training
    parts = dict(video_model.named_parameters())
    assert all(parts[name] is weight for name, weight in model.named_parameters())


def test_an_image_model_made_of_a_video_model_follows_it(tiny_video_config):
    video_model = draw_weights(Sam2VideoModel(tiny_video_config))
    model = Sam2Model.from_video_model(video_model)

    video_model.to(torch.bfloat16)

    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}


def test_an_image_model_made_of_a_video_model_knows_where_that_came_from(tiny_video_config):
    video_model = Sam2VideoModel(copy.deepcopy(tiny_video_config))
    video_model.name_or_path, video_model.config._commit_hash = "owner/name", "abc"

    model = Sam2Model.from_video_model(video_model)

    assert (model.name_or_path, model.config._commit_hash) == ("owner/name", "abc")


def test_input_embedding_is_the_patch_embedding(drawn_model):
    assert drawn_model.get_input_embeddings() is drawn_model.vision_encoder.backbone.patch_embed


def test_positions_of_the_image_are_float32_in_any_model(drawn_model):
    half = copy.deepcopy(drawn_model).bfloat16()

    table = half.get_image_wide_positional_embeddings()

    assert table.dtype == torch.float32
    assert torch.equal(table, drawn_model.get_image_wide_positional_embeddings())


@pytest.mark.parametrize("both", [True, False])
def test_pictures_or_embeddings_must_be_given_and_not_both(drawn_model, pictures, embeddings, both):
    given = {"pixel_values": pictures, "image_embeddings": embeddings} if both else {}

    with pytest.raises(ValueError, match="Exactly one of pixel_values or image_embeddings"):
        drawn_model(**given)


def test_the_tiny_encoder_at_1024_pixels_does_the_work_counted_by_hand():
    """292.39 GFLOP are patches, blocks, neck and the two narrowed maps, and nothing else."""
    with torch.device("meta"):
        model = Sam2Model(Sam2Config())
        pictures = torch.empty(1, 3, 1024, 1024)

    with FlopCounterMode(display=False) as counter:
        model.get_image_embeddings(pictures)

    assert round(counter.get_total_flops() / 1e9, 2) == 292.39
