"""The objective: the steps of inference, and what its loss does and does not depend on."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from sam2_hf.errors import DataError
from sam2_hf.model.mask_losses import LossRules, mask_losses, read_labels
from sam2_hf.model.outputs import FrameFeatures, FrameMemory
from sam2_hf.training import objective
from sam2_hf.training.objective import ClipMemories, Sam2VideoForTraining
from sam2_hf.training.prompt_simulation import PromptSchedule
from sam2_hf.video.policies.memory_policy import MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.tracking import NO_PROMPTS, track_step
from tests.drawn_video import drawn_video_model, own_video_model
from tests.training.moving_shapes import two_clips

SAME_SUMS = 1e-5  # relative; the same sums in batches of another size
SEEDS = torch.tensor([11, 12])
MASKS = PromptSchedule(first_mask=1.0, max_prompted_frames=1)
CLICKS = PromptSchedule(first_mask=0.0, corrections=2, max_prompted_frames=1)
PHOTOS = PromptSchedule(corrections=2)
TERMS = ("loss", "focal", "dice", "iou", "object_score")


@pytest.fixture(autouse=True)
def _on_one_thread(one_thread):
    pass


@pytest.fixture(scope="module")
def model():
    return drawn_video_model()


def run(model, schedule, clips, labels, *, rules=None, **options):
    options = {"seeds": SEEDS[: len(clips)], "plan_seed": 1} | options
    return Sam2VideoForTraining(model, schedule, rules)(clips, labels, **options)


def terms(output):
    return [output[name].item() for name in TERMS]


@torch.no_grad()
def test_tracked_frames_are_segmented_by_the_step_of_inference(model):
    clips, labels = two_clips()
    memories = ClipMemories()
    policy = Sam2Policy(MemoryRules(past_pointers_only=False, clip_times=True))
    truth, total = torch.cat((labels[0], labels[1, :1])), 0.0
    for frame in range(3):
        pixels = clips[[0, 0, 1], frame]
        features = model.encode_image(pixels)
        if frame == 0:
            masks = model.use_mask_as_output(features, truth[:, :1].float())
        else:
            step = TrackingStep(frame, num_frames=3)
            masks = track_step(model, features, [memories], NO_PROMPTS, step, policy)
        logits = masks.candidates_bmhw if masks.full_logits_b1hw is None else masks.full_logits_b1hw
        best = masks.logits_b1hw if masks.full_logits_b1hw is None else masks.full_logits_b1hw
        spatial = model.encode_memory(features, best, masks.score_b1, binarize=False)
        memory = FrameMemory(frame, spatial, masks.pointer_bd, masks.score_b1)
        memories.remember(memory, prompted=frame == 0)
        wanted = read_labels(truth[:, frame], LossRules())
        iou, score = masks.candidate_iou_bm, masks.score_b1
        total += (
            mask_losses(logits, iou, score, wanted, LossRules())[0].divided(3).total(LossRules())
        )

    output = run(model, MASKS, clips, labels)

    assert output.loss.item() == pytest.approx(total.item(), rel=SAME_SUMS)


@torch.no_grad()
def test_what_comes_out_is_one_row_for_each_object_that_is_there(model):
    output = run(model, CLICKS, *two_clips())

    assert output.clip_o.tolist() == [0, 0, 1]
    assert output.logits_tohw.shape == (3, 3, 16, 16)
    for name in ("iou_to", "first_iou_to", "predicted_iou_to", "present_to"):
        assert output[name].shape == (3, 3), name
    assert output.present_to.all()
    weighed = 20 * output.focal + output.dice + output.iou + output.object_score
    assert output.loss.item() == pytest.approx(weighed.item(), rel=SAME_SUMS)


@torch.no_grad()
@pytest.mark.parametrize("schedule", [MASKS, CLICKS, PromptSchedule(first_mask=0.0, corrections=1)])
def test_padding_objects_change_nothing(model, schedule):
    clips, labels = two_clips()
    padded = torch.cat((labels, torch.zeros_like(labels)), dim=1)

    assert terms(run(model, schedule, clips, padded)) == terms(run(model, schedule, clips, labels))


@torch.no_grad()
@pytest.mark.parametrize("schedule", [MASKS, CLICKS])
def test_a_batch_costs_what_its_clips_cost_alone(model, schedule):
    clips, labels = two_clips()
    together = run(model, schedule, clips, labels)

    parts = [
        run(model, schedule, clips[[c]], labels[[c]], seeds=SEEDS[[c]], num_objects=3.0)
        for c in range(2)
    ]

    summed = [sum(both) for both in zip(*map(terms, parts), strict=True)]
    assert summed == pytest.approx(terms(together), rel=SAME_SUMS)


@torch.no_grad()
def test_photos_have_no_memory(monkeypatch):
    model = own_video_model()
    for name in ("encode_memory", "memory_attention"):
        monkeypatch.setattr(model, name, None)

    clips, labels = two_clips(1)

    assert run(model, PHOTOS, clips, labels).loss.isfinite()


@torch.no_grad()
def test_the_frame_segmented_last_leaves_no_memory(model, monkeypatch):
    encoded = []
    encode = model.encode_memory
    monkeypatch.setattr(
        type(model),
        "encode_memory",
        lambda _, *args, **more: encoded.append(1) or encode(*args, **more),
    )

    run(model, MASKS, *two_clips())

    assert len(encoded) == 2


@torch.no_grad()
def test_every_answer_counts(model):
    clips, labels = two_clips(1)

    losses = [
        run(model, PromptSchedule(first_box=0.0, corrections=count), clips, labels).loss.item()
        for count in (0, 1, 2)
    ]

    assert losses[0] < losses[1] < losses[2]


@torch.no_grad()
def test_seeds_decide_everything(model):
    clips, labels = two_clips()
    torch.manual_seed(0)
    first = terms(run(model, CLICKS, clips, labels))
    torch.manual_seed(1)

    assert terms(run(model, CLICKS, clips, labels)) == first
    assert terms(run(model, CLICKS, clips, labels, seeds=SEEDS + 1)) != first


@torch.no_grad()
def test_without_seeds_torch_decides(model):
    clips, labels = two_clips()

    def loss(seed):
        torch.manual_seed(seed)
        return run(model, PromptSchedule(), clips, labels, seeds=None, plan_seed=None).loss.item()

    assert loss(0) == loss(0)
    assert loss(0) != loss(2)


@torch.no_grad()
def test_an_object_that_is_hidden_on_a_frame_is_marked(model):
    clips, labels = two_clips()
    labels[0, 1, 2] = False

    output = run(model, CLICKS, clips, labels)

    assert output.present_to.tolist() == [[True] * 3, [True] * 3, [True, False, True]]
    assert output.iou_to[2, 1] == 0


@torch.no_grad()
def test_losses_at_a_smaller_size_are_those_of_masks_enlarged_to_the_nearest_pixel(
    model, monkeypatch
):
    clips, labels = two_clips()
    small, same, smooth = (
        terms(run(model, CLICKS, clips, labels, rules=LossRules(loss_size=side)))
        for side in (16, 64, None)
    )

    def enlarged_first(logits, *others):
        return mask_losses(functional.interpolate(logits, (64, 64), mode="nearest"), *others)

    monkeypatch.setattr(objective, "mask_losses", enlarged_first)
    expected = terms(run(model, CLICKS, clips, labels))

    assert small == pytest.approx(expected, rel=SAME_SUMS)
    assert same == smooth != pytest.approx(small, rel=1e-3)


def test_labels_of_another_kind_are_refused(model):
    clips, labels = two_clips()

    with pytest.raises(DataError, match="do not match"):
        run(model, CLICKS, clips, labels[:, :, :2])
    with pytest.raises(DataError, match="not of the model's input size, 64 by 64"):
        run(model, CLICKS, clips, labels[..., ::2, ::2])
    with pytest.raises(DataError, match="no object on any frame"):
        run(model, CLICKS, clips, torch.zeros_like(labels))


def test_memory_reaches_as_far_as_in_training(model):
    rules = Sam2VideoForTraining(model).memory_rules

    assert rules == MemoryRules(past_pointers_only=False, clip_times=True)


def test_features_are_handed_to_the_objects_of_their_clip(model, monkeypatch):
    clips, labels = two_clips(1)
    seen = []
    decode = model.decode_masks
    monkeypatch.setattr(
        type(model),
        "decode_masks",
        lambda _, features, *args, **more: seen.append(features) or decode(features, *args, **more),
    )

    with torch.no_grad():
        run(model, PHOTOS, clips, labels)
        own = model.encode_image(clips[:, 0])

    assert isinstance(seen[0], FrameFeatures)
    torch.testing.assert_close(seen[0].fine_bchw, own.fine_bchw[[0, 0, 1]])


@torch.no_grad()
def test_a_photo_is_prompted_as_often_as_the_schedule_says(model):
    clips, labels = two_clips()
    photos = (clips[:, :1], labels[:, :, :1])

    output = run(model, replace(PHOTOS, photo_prompts=4), *photos)

    # two objects on the first photo, one on the second
    assert output.clip_o.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@torch.no_grad()
def test_repeated_prompts_do_not_weigh_more_than_single_ones(model):
    clips, labels = two_clips()
    central = replace(PHOTOS, corrections=0, first_box=1.0, box_noise=0.0)
    photo = (clips[:1, :1], labels[:1, :, :1])

    once = run(model, central, *photo, num_objects=2.0)
    often = run(model, replace(central, photo_prompts=8), *photo, num_objects=2.0)

    assert often.loss.item() == pytest.approx(once.loss.item(), rel=SAME_SUMS)


@torch.no_grad()
def test_clips_are_prompted_once_whatever_is_said_of_photos(model):
    output = run(model, replace(CLICKS, photo_prompts=8), *two_clips())

    assert output.clip_o.tolist() == [0, 0, 1]
