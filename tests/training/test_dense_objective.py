import pytest
import torch

from sam2_hf.model.mask_losses import LossRules
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.training.dense_objective import DenseObjective, choose_cells, excess, shared_by_all
from sam2_hf.training.objective import Beside, Sam2VideoForTraining
from sam2_hf.training.prompt_simulation import PromptSchedule
from tests.drawn_video import own_video_model
from tests.training.moving_shapes import two_clips

SEEDS = torch.tensor([11, 12])
RULES = LossRules(loss_size=16, object_score=0.0)
GRID = (4, 4)


@pytest.fixture(autouse=True)
def _on_one_thread(one_thread):
    pass


@pytest.fixture
def model():
    return own_video_model().train()


def photos():
    """The first frames of two clips, of which the second has one object less."""
    clips, labels = two_clips()
    return clips[:, :1], labels[:, :, :1]


def left_half_and_a_corner():
    masks_bohw = torch.zeros(1, 2, 64, 64, dtype=torch.bool)
    masks_bohw[0, 0, :, :32] = True
    masks_bohw[0, 1, 48:, 48:] = True
    return masks_bohw


def test_cells_are_clicked_that_belong_to_their_object():
    found = choose_cells(left_half_and_a_corner(), GRID, 32, torch.tensor([3]))

    pairs = set(zip(found.object_bk[0].tolist(), found.cell_bk[0].tolist(), strict=True))
    real = {
        pair
        for pair, is_real in zip(
            zip(found.object_bk[0].tolist(), found.cell_bk[0].tolist(), strict=True),
            found.real_bk[0].tolist(),
            strict=True,
        )
        if is_real
    }
    left = {(0, 4 * row + column) for row in range(4) for column in range(2)}
    assert real == left | {(1, 15)}
    assert len(pairs) == 32  # none twice


def test_small_objects_are_clicked_more_often_than_their_area_says():
    masks_bohw = left_half_and_a_corner().expand(300, -1, -1, -1)

    found = choose_cells(masks_bohw, GRID, 1, torch.arange(300))

    # 1 cell against 8: by area it would be a ninth
    share = (found.object_bk == 1).float().mean().item()
    assert share == pytest.approx(1 / (1 + 8**0.5), abs=0.08)


def test_clicks_depend_on_the_seed_of_their_photo_alone():
    masks_bohw = left_half_and_a_corner()
    alone = choose_cells(masks_bohw, GRID, 4, torch.tensor([7]))
    both = choose_cells(masks_bohw.expand(2, -1, -1, -1), GRID, 4, torch.tensor([5, 7]))

    assert alone.cell_bk[0].equal(both.cell_bk[1])
    assert not both.cell_bk[0].equal(both.cell_bk[1])


def test_all_of_a_click_learns_but_how_pictures_look_at_it(model):
    output = DenseObjective(model, RULES, 8)(*photos(), SEEDS)

    output.loss.backward()

    moved = {name for name, one in model.named_parameters() if one.grad is not None}
    assert "vision_encoder.backbone.blocks.0.attn.qkv.weight" in moved
    assert "prompt_encoder.point_embed.weight" in moved
    assert "mask_decoder.transformer.layers.1.self_attn.q_proj.weight" in moved
    assert "mask_decoder.upscale_conv2.weight" in moved
    assert not any("image_to_token" in name or name.startswith("memory") for name in moved)


@torch.no_grad()
def test_where_pictures_look_at_no_token_it_is_the_decoder(model):
    for name, module in model.eval().mask_decoder.named_modules():
        if name.endswith("image_to_token"):
            module.o_proj.weight.zero_()
            module.o_proj.bias.zero_()
    clips, _ = photos()
    features = model.encode_image(clips[:, 0])
    xy = torch.tensor([[[20.0, 30.0], [50.0, 9.0]]]).expand(2, -1, -1)

    ones = torch.ones(2, 2, 1, dtype=torch.int64)
    found = DenseObjective(model, RULES, 2).answer(
        features, features, xy[:, :, None], ones, ones[..., 0]
    )

    for click in range(2):
        prompts = Prompts(xy[:, click : click + 1, None], torch.ones(2, 1, 1, dtype=torch.int64))
        embedding = model.condition_on_memory(features, None)
        for several, some in ((True, slice(1, None)), (False, slice(1))):
            model.mask_decoder.train(mode=not several)  # in eval a stable one of three may step in
            alone = model.decode_masks(features, embedding, prompts, multimask_output=several)
            logits, iou = found.logits_bkmhw[:, click, some], found.iou_bkm[:, click, some]
            torch.testing.assert_close(logits, alone.candidates_bmhw, rtol=0, atol=1e-5)
            torch.testing.assert_close(iou, alone.candidate_iou_bm, rtol=0, atol=1e-6)


def test_a_few_steps_teach_the_segments_of_two_photos(model):
    objective = DenseObjective(model, RULES, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    ious = []
    for _ in range(40):
        output = objective(*photos(), SEEDS)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        ious.append(output.iou_to.mean().item())

    assert ious[-1] > ious[0] + 0.2


def test_padding_of_a_batch_is_not_learned_from(model):
    clips, labels = photos()
    wider = torch.nn.functional.pad(labels, (0, 0, 0, 0, 0, 0, 0, 2))

    one = DenseObjective(model.eval(), RULES, 4)(clips, wider)

    assert one.present_to.all()
    assert one.clip_o.bincount(minlength=2).min() > 0


@torch.no_grad()
def test_a_clip_is_clicked_on_its_first_frame_and_compared_on_its_last(model):
    clips, labels = two_clips()
    objective = DenseObjective(model.eval(), RULES, 4)
    swapped = labels.clone()
    swapped[:, :, 1] = False  # what lies between does not matter

    one = objective(clips, labels, SEEDS)

    assert objective(clips, swapped, SEEDS).loss.equal(one.loss)
    assert not objective(clips.flip(1), labels, SEEDS).loss.equal(one.loss)
    assert not objective(clips[:, :1], labels[:, :, :1], SEEDS).loss.equal(one.loss)


@torch.no_grad()
def test_beside_prompts_both_losses_add_up_on_one_encoding(model):
    model.eval()
    schedule, options = PromptSchedule(corrections=0), {"plan_seed": 1}
    dense = DenseObjective(model, RULES, 4)
    alone = Sam2VideoForTraining(model, schedule, RULES)(*photos(), SEEDS, **options).loss

    both = Sam2VideoForTraining(model, schedule, RULES, Beside(dense, 0.5))

    wanted = alone + 0.5 * dense(*photos(), SEEDS, **options).loss
    assert both(*photos(), SEEDS, **options).loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    clips = two_clips()
    without = Sam2VideoForTraining(model, schedule, RULES)(*clips, SEEDS, **options).loss
    assert both(*clips, SEEDS, **options).loss.equal(without)


@torch.no_grad()
def test_boxes_take_the_place_of_clicks_by_the_plan(model, monkeypatch):
    seen = []
    objective = DenseObjective(model.eval(), RULES, 4, boxes=0.5)
    answer = objective.answer
    monkeypatch.setattr(
        objective, "answer", lambda *given: seen.append(given[2:4]) or answer(*given)
    )
    clips, labels = photos()

    for plan_seed in range(20):
        objective(clips, labels, SEEDS, plan_seed)

    kinds = [tuple(labels_bkt[0, 0].tolist()) for _, labels_bkt in seen]
    assert {(1,), (2, 3)} == set(kinds)
    corners = next(points for points, kind in zip(seen, kinds, strict=True) if len(kind) > 1)[0]
    clicks = choose_cells(labels[:, :, 0], GRID, 4, SEEDS)
    rows, columns = labels[0, clicks.object_bk[0, 0], 0].nonzero(as_tuple=True)
    true = [[columns.min(), rows.min()], [columns.max(), rows.max()]]
    near = 0.1 * max(columns.max() - columns.min(), rows.max() - rows.min()) + 1e-3
    assert (corners[0, 0] - torch.tensor(true)).abs().max() <= near


def learn(model, clips, labels):
    objective = DenseObjective(model, RULES, 16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        objective(clips, labels, SEEDS).loss.backward()
        optimizer.step()


def test_what_all_cells_share_is_kept_small(model):
    clips, labels = photos()
    with torch.no_grad():
        model.vision_encoder.neck.convs[1].bias.fill_(3.0)
        before = shared_by_all(model.encode_image(clips[:, 0])).item()

    learn(model, clips, labels)

    assert shared_by_all(model.encode_image(clips[:, 0])).item() < 0.5 * before


def test_embeddings_that_drown_the_code_of_places_shrink():
    model, (clips, labels) = own_video_model().train(), two_clips()
    with torch.no_grad():
        model.vision_encoder.neck.convs[1].weight.mul_(20.0)
        before = excess(model.encode_image(clips[:, 0])).item()

    learn(model, clips, labels)

    assert before > 1
    assert excess(model.encode_image(clips[:, 0])).item() < 0.5 * before
