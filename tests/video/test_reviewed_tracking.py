"""Masks that a policy keeps, with their pointers and memories."""

import torch

from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.frame_result import split_by_object
from sam2_hf.video.memory_bank import FURTHER_POINTERS, FURTHER_SPATIAL, NOTES
from sam2_hf.video.policies.memory_policy import Kept, MemoryRules, Sam2Policy, TrackingStep
from sam2_hf.video.reviewed_tracking import track_and_review
from sam2_hf.video.tracking import track_step
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import fake_session_on


class Keeping(Sam2Policy):
    """Keep the candidates that it is told."""

    reviews = True
    masks = ()

    def keep(self, step, memories, found):
        best = found[0].best
        return Kept([(0, (best + other) % 3) for other in self.masks], {"own": [1.5, 2.0]})


def tracked(masks):
    """Track a frame with a real model; the masks that are kept, and those that there were."""
    model = drawn_video_model()
    session = Sam2VideoInferenceSession.open(noise_clip(3), model)
    session.click(0, 1, (20, 20))
    session.click(0, 2, (40, 30))
    list(session.propagate(limit=2))
    objects = list(session._tracker.objects.values())
    banks = [obj.bank for obj in objects]
    features = session._tracker.encoder.encode(2)
    policy = Keeping(MemoryRules())
    policy.masks = masks
    with torch.no_grad():
        kept = track_and_review(model, features, banks, TrackingStep(2), policy)
        plain = track_step(
            model, features, banks, Prompts(), TrackingStep(2), Sam2Policy(MemoryRules())
        )
    return model, objects, kept, plain


def test_the_best_candidates_have_the_bits_of_a_plain_step():
    _, _, kept, plain = tracked([0])

    for name in ("logits_b1hw", "iou_b1", "pointer_bd", "score_b1"):
        assert torch.equal(getattr(kept.masks, name), getattr(plain, name)), name


def test_another_candidate_has_its_own_mask_iou_and_pointer():
    model, _, kept, plain = tracked([1])

    chosen_b = (plain.candidate_iou_bm.argmax(1) + 1) % 3
    for row, chosen in enumerate(chosen_b.tolist()):
        assert torch.equal(kept.masks.logits_b1hw[row, 0], plain.candidates_bmhw[row, chosen])
        assert kept.masks.iou_b1[row, 0] == plain.candidate_iou_bm[row, chosen]
        token_bd = plain.candidate_tokens_bmd[row, chosen][None]
        expected = model.object_pointers(token_bd, plain.score_b1[row][None])
        torch.testing.assert_close(kept.masks.pointer_bd[row][None], expected)
    assert not torch.equal(kept.masks.pointer_bd, plain.pointer_bd)


def test_masks_are_grouped_by_object_and_those_beyond_the_answer_go_to_its_record():
    _, objects, kept, _ = tracked([0, 2])
    outputs = split_by_object(kept.masks, 0)
    memories = [None] * len(outputs)

    assert len(outputs) == 4
    groups = kept.by_object(objects, outputs, memories)
    assert [obj.object_id for obj, *_ in groups] == [1, 2]
    assert groups[1][1] is outputs[2]
    assert groups[0][3][f"{NOTES}own"].tolist() == [1.5, 2.0]


def test_further_memories_are_stacked():
    with fake_session_on(4) as session:
        session.click(0, 1, (15, 10))
        list(session.propagate())
        tracker = session._tracker
        obj = tracker.objects[1]
        _, _, kept, _ = tracked([0, 1, 2])
        outputs = [obj.bank.output(frame) for frame in (1, 2, 3)] * 2
        spatial = torch.arange(6.0).reshape(6, 1, 1, 1)
        memories = tracker._memories(1, spatial, torch.arange(6.0)[:, None], torch.ones(6, 1))

        (_, _, first, more), (_, _, second, _) = kept.by_object([obj, obj], outputs, memories)

    assert (first.spatial_bx.item(), second.spatial_bx.item()) == (0.0, 3.0)
    assert more[FURTHER_SPATIAL].flatten().tolist() == [1.0, 2.0]
    assert more[FURTHER_POINTERS].flatten().tolist() == [1.0, 2.0]
