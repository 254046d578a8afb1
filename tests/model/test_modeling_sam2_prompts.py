"""What `Sam2Model` makes of prompts: padding, masks, boxes and points together, PerSAM's hooks."""

import copy

import pytest
import torch
from peers import draw_weights, largest_difference, peer_of

from sam2_hf import Sam2Model

SAME_SUMS = 5e-5  # logits are of order 3 and pass a hundred sums, each right to seven digits
# In float64 all that a longer batch changes is the last bit of positions, which stay float32.
NO_INFLUENCE = 1e-6
ANSWER = ("iou_scores", "pred_masks", "object_score_logits")


@pytest.fixture(scope="module", params=["projecting", "absorbing"])
def drawn_model(request, tiny_config):
    """The tiny model, also with a decoder that is wide enough to absorb its projections."""
    config = copy.deepcopy(tiny_config)
    if request.param == "absorbing":
        config.mask_decoder_config.num_attention_heads = 2
        config.mask_decoder_config.attention_downsample_rate = 1
    return draw_weights(Sam2Model(config)).eval()


@pytest.fixture(scope="module")
def peer_model(drawn_model):
    return peer_of(drawn_model)


@pytest.fixture(scope="module")
def embeddings(drawn_model, pictures):
    return drawn_model.get_image_embeddings(pictures)


@pytest.fixture(scope="module")
def ask(drawn_model, embeddings):
    """A function that answers prompts on the two encoded pictures."""

    @torch.no_grad()
    def answer(model=drawn_model, pictures=slice(None), **prompts):
        return model(image_embeddings=[level[pictures] for level in embeddings], **prompts)

    return answer


@pytest.fixture(scope="module")
def ask_exactly(drawn_model, embeddings):
    """The same in float64, where rounding hides nothing."""
    model = copy.deepcopy(drawn_model).double()

    @torch.no_grad()
    def answer(pictures=slice(None), **prompts):
        return model(image_embeddings=[level[pictures].double() for level in embeddings], **prompts)

    return answer


def assert_same_answers(ours, theirs, tolerance=SAME_SUMS):
    for name in ANSWER:
        assert largest_difference(ours[name], theirs[name]) <= tolerance, name


def assert_answers_part(whole, picture, index, alone, tolerance=NO_INFLUENCE):
    """Compare one object of an answer with the only object of another."""
    part = {name: whole[name][picture : picture + 1, index : index + 1] for name in ANSWER}
    assert_same_answers(part, alone, tolerance)


@pytest.mark.parametrize("multimask", [True, False])
def test_prompts_of_different_length_answer_as_each_does_alone(ask_exactly, clicks, multimask):
    points, labels = clicks["input_points"], clicks["input_labels"].clone()
    lengths = [[2, 1, 2], [1, 2, 1]]
    for picture, row in enumerate(lengths):
        for index, length in enumerate(row):
            labels[picture, index, length:] = -10

    together = ask_exactly(input_points=points, input_labels=labels, multimask_output=multimask)

    for picture, row in enumerate(lengths):
        for index, length in enumerate(row):
            place = (slice(picture, picture + 1), slice(index, index + 1), slice(length))
            own = {"input_points": points[place], "input_labels": labels[place]}
            alone = ask_exactly(pictures=place[0], **own, multimask_output=multimask)
            assert_answers_part(together, picture, index, alone)


def test_where_padding_points_lie_does_not_matter(ask_exactly, clicks):
    labels = clicks["input_labels"].clone()
    labels[..., 1] = -10
    moved = clicks["input_points"].clone()
    moved[..., 1, :] = 1e4

    answers = [
        ask_exactly(input_points=each, input_labels=labels)
        for each in (clicks["input_points"], moved)
    ]

    assert_same_answers(*answers, tolerance=0)


def test_an_object_without_points_among_others_is_its_box(ask_exactly, clicks, boxes):
    labels = clicks["input_labels"].clone()
    labels[0, 1] = -10

    together = ask_exactly(
        input_points=clicks["input_points"], input_labels=labels, input_boxes=boxes
    )

    alone = ask_exactly(pictures=slice(1), input_boxes=boxes[:1, 1:2])
    assert_answers_part(together, 0, 1, alone)


def test_an_object_without_a_box_among_others_is_its_points(ask_exactly, clicks, boxes):
    boxes = boxes.clone()
    boxes[1, 2] = -10

    together = ask_exactly(**clicks, input_boxes=boxes)

    own = {name: value[1:, 2:] for name, value in clicks.items()}
    assert_answers_part(together, 1, 2, ask_exactly(pictures=slice(1, 2), **own))


@pytest.mark.parametrize("kind", ["points", "boxes"])
@pytest.mark.parametrize("multimask", [True, False])
def test_an_object_that_is_all_padding_is_blank(ask, clicks, boxes, kind, multimask):
    labels, boxes = clicks["input_labels"].clone(), boxes.clone()
    labels[1, 2], boxes[1, 2] = -10, -10
    points = {"input_points": clicks["input_points"], "input_labels": labels}
    prompts = points if kind == "points" else {"input_boxes": boxes}

    answer = ask(**prompts, multimask_output=multimask)

    assert (answer.pred_masks[1, 2] == -1024).all()
    assert (answer.iou_scores[1, 2] == 0).all()
    assert (answer.object_score_logits[1, 2] == -1024).all()
    assert (answer.pred_masks == -1024).sum() == answer.pred_masks[1, 2].numel()
    assert (answer.iou_scores == 0).sum() == answer.iou_scores[1, 2].numel()


def test_a_padding_object_changes_nothing_for_the_others(ask_exactly, clicks):
    points, labels = clicks["input_points"], clicks["input_labels"].clone()
    labels[:, 2] = -10

    with_ghosts = ask_exactly(input_points=points, input_labels=labels)

    without = ask_exactly(input_points=points[:, :2], input_labels=labels[:, :2])
    rest = {name: with_ghosts[name][:, :2] for name in ANSWER}
    assert_same_answers(rest, without, NO_INFLUENCE)


def test_gradients_are_finite_where_prompts_are_padded(drawn_model, embeddings, clicks):
    model = copy.deepcopy(drawn_model)
    labels = clicks["input_labels"].clone()
    labels[:, 0, 1], labels[:, 1] = -10, -10

    answer = model(
        image_embeddings=embeddings, input_points=clicks["input_points"], input_labels=labels
    )
    answer.pred_masks.square().mean().backward()

    gradients = [weight.grad for weight in model.parameters() if weight.grad is not None]
    assert len(gradients) > 50
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("shape", ["b p h w", "b p 1 h w"])
def test_each_object_may_have_a_mask_of_its_own(ask, clicks, mask_prompts, shape):
    masks = mask_prompts if shape == "b p h w" else mask_prompts[:, :, None]

    together = ask(**clicks, input_masks=masks)

    for index in range(3):
        own = {name: value[:, [index]] for name, value in clicks.items()}
        alone = ask(**own, input_masks=mask_prompts[:, [index]])
        part = {name: together[name][:, [index]] for name in ANSWER}
        assert_same_answers(part, alone)


@pytest.mark.parametrize("shape", ["b 1 h w", "b h w"])
def test_one_mask_serves_all_objects_of_a_picture(ask, clicks, mask_prompts, shape):
    shared = mask_prompts[:, :1]

    answer = ask(**clicks, input_masks=shared if shape == "b 1 h w" else shared[:, 0])

    assert_same_answers(answer, ask(**clicks, input_masks=shared.expand(-1, 3, -1, -1)))


def test_a_shared_mask_answers_like_transformers(ask, peer_model, clicks, mask_prompts):
    prompts = {**clicks, "input_masks": mask_prompts[:, :1]}

    assert_same_answers(ask(**prompts), ask(model=peer_model, **prompts))


@pytest.mark.parametrize("size", [64, 10])
def test_a_mask_of_another_size_is_resized_as_transformers_does(
    ask, peer_model, clicks, size, generator
):
    masks = torch.randn(2, 1, size, size, generator=generator) * 5

    ours, theirs = (
        ask(**options, **clicks, input_masks=masks) for options in ({}, {"model": peer_model})
    )

    assert_same_answers(ours, theirs)


def test_masks_may_be_the_only_prompts(ask, mask_prompts):
    together = ask(input_masks=mask_prompts)

    assert together.pred_masks.shape == (2, 3, 3, 16, 16)
    alone = ask(input_masks=mask_prompts[:, 1:2])
    assert_same_answers({name: together[name][:, 1:2] for name in ANSWER}, alone)


@pytest.mark.parametrize("multimask", [True, False])
@pytest.mark.parametrize("kind", ["points", "boxes", "both", "nothing"])
def test_prompts_are_answered_like_transformers(ask, peer_model, clicks, boxes, kind, multimask):
    prompts = {"multimask_output": multimask}
    prompts |= clicks if kind in ("points", "both") else {}
    prompts |= {"input_boxes": boxes} if kind in ("boxes", "both") else {}

    assert_same_answers(ask(**prompts), ask(model=peer_model, **prompts))


def test_a_box_and_points_may_come_as_points_with_corner_labels(ask, clicks, boxes):
    points = torch.cat((boxes.unflatten(-1, (2, 2)), clicks["input_points"]), dim=2)
    corners = torch.tensor([2, 3]).expand(2, 3, 2)
    labels = torch.cat((corners, clicks["input_labels"]), dim=2)

    as_points = ask(input_points=points, input_labels=labels)

    assert_same_answers(as_points, ask(**clicks, input_boxes=boxes))


def test_the_answer_depends_on_the_kind_of_a_prompt(ask, clicks):
    points = clicks["input_points"]
    answers = [
        ask(input_points=points, input_labels=torch.full((2, 3, 2), kind)) for kind in range(4)
    ]

    for index, one in enumerate(answers):
        for other in answers[index + 1 :]:
            assert largest_difference(one.pred_masks, other.pred_masks) > 0.1


@pytest.mark.parametrize("shape", [(6, 1, 1, 16), (6, 1, 9, 16), (1, 1, 1, 16)])
def test_persam_similarity_acts_as_in_transformers(ask, peer_model, clicks, shape, generator):
    prompts = {**clicks, "attention_similarity": torch.randn(shape, generator=generator) * 3}

    ours, theirs = ask(**prompts), ask(model=peer_model, **prompts)

    assert_same_answers(ours, theirs)
    assert largest_difference(ours.pred_masks, ask(**clicks).pred_masks) > 0.1


def test_persam_target_acts_as_in_transformers(ask, peer_model, clicks, generator):
    """Both add it to the tokens in place, so their positions move too, but only once."""
    prompts = {**clicks, "target_embedding": torch.randn(2, 1, 1, 32, generator=generator)}

    ours, theirs = ask(**prompts), ask(model=peer_model, **prompts)

    assert_same_answers(ours, theirs)
    assert largest_difference(ours.pred_masks, ask(**clicks).pred_masks) > 0.1


def test_persams_hooks_work_beside_padding(ask, clicks, generator):
    labels = clicks["input_labels"].clone()
    labels[..., 1] = -10
    hints = {
        "attention_similarity": torch.randn(6, 1, 1, 16, generator=generator) * 3,
        "target_embedding": torch.randn(2, 1, 1, 32, generator=generator),
    }

    padded = ask(input_points=clicks["input_points"], input_labels=labels, **hints)

    points = clicks["input_points"][:, :, :1]
    alone = ask(input_points=points, input_labels=labels[..., :1], **hints)
    assert_same_answers(padded, alone)


def test_what_the_caller_passes_stays_as_it_is(
    drawn_model, embeddings, clicks, boxes, mask_prompts
):
    given = {**clicks, "input_boxes": boxes, "input_masks": mask_prompts}
    given["target_embedding"] = torch.ones(2, 1, 1, 32)
    before, levels = copy.deepcopy(given), list(embeddings)
    values = copy.deepcopy(levels)

    drawn_model(image_embeddings=levels, **given)

    assert all(torch.equal(given[name], before[name]) for name in given)
    assert all(map(torch.equal, levels, values))
