import gc
import weakref
from dataclasses import fields

import numpy as np
import pytest
import torch
from torch.nn import functional

from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.frame_result import FrameOutput, FrameResult
from tests.drawn_video import drawn_video_model, noise_clip

SIZE = (30, 50)


def output(seed, iou=0.9, score=4.0):
    logits = torch.randn(1, 16, 16, generator=torch.Generator().manual_seed(seed)) * 3
    return FrameOutput(logits, torch.tensor([iou]), torch.tensor([score]))


def result(*seeds, non_overlapping=False, size=SIZE):
    outputs = {10 + seed: output(seed, iou=seed / 10, score=float(seed)) for seed in seeds}
    return FrameResult.of_outputs(
        4, outputs, size, frozenset({11}), non_overlapping=non_overlapping
    )


def test_objects_lie_in_the_order_they_were_given():
    found = result(2, 1)

    assert found.object_ids == (12, 11)
    assert torch.equal(found.logits_bhw[1:], output(1).logits_1hw)
    assert found.iou == {12: pytest.approx(0.2), 11: pytest.approx(0.1)}
    assert found.object_score == {12: 2.0, 11: 1.0}
    assert (found.frame, found.prompted) == (4, frozenset({11}))


@pytest.mark.parametrize("non_overlapping", [False, True])
def test_masks_are_boolean_arrays_of_the_original_size(non_overlapping):
    """Also a single object, and also where objects are kept apart."""
    for seeds in ((1,), (1, 2)):
        masks = result(*seeds, non_overlapping=non_overlapping).masks

        assert all(isinstance(mask, np.ndarray) for mask in masks.values())
        assert {(mask.shape, mask.dtype.name) for mask in masks.values()} == {(SIZE, "bool")}


def test_a_mask_is_where_the_enlarged_logits_are_positive():
    enlarged = functional.interpolate(output(1).logits_1hw[None], SIZE, mode="bilinear")

    assert np.array_equal(result(1).masks[11], (enlarged[0, 0] > 0).numpy())


def test_masks_are_made_once():
    found = result(1)

    assert found.masks is found.masks


def test_masks_of_several_objects_are_those_of_each_alone():
    together = result(1, 2).masks

    assert all(
        np.array_equal(together[10 + seed], result(seed).masks[10 + seed]) for seed in (1, 2)
    )


def test_kept_apart_a_pixel_belongs_to_the_strongest_object():
    apart = result(1, 2, 3, non_overlapping=True)

    count = sum(mask.astype(int) for mask in apart.masks.values())
    together = result(1, 2, 3)
    anywhere = np.any(list(together.masks.values()), axis=0)
    assert sum(mask.astype(int) for mask in together.masks.values()).max() > 1
    assert np.array_equal(count == 1, anywhere)
    winner = together.video_logits()[:, 0].argmax(dim=0).numpy()
    assert np.array_equal(apart.masks[12] & (winner != 1), np.zeros(SIZE, bool))


def test_video_logits_have_the_original_size():
    found = result(1, 2)

    assert found.video_logits().shape == (2, 1, *SIZE)
    assert np.array_equal(found.video_logits()[0, 0] > 0, found.masks[11])


@pytest.mark.parametrize("apart", [False, True])
def test_logits_are_those_of_the_masks_before_the_threshold(apart):
    found = result(1, 2, 3, non_overlapping=apart)

    assert found.logits.dtype == torch.float32
    assert found.logits is found.logits
    assert torch.equal(found.logits, found.video_logits()[:, 0])
    for logits, mask in zip(found.logits, found.masks.values(), strict=True):
        assert np.array_equal(logits > 0, mask)


def test_a_frame_without_objects_has_no_rows():
    empty = result()

    assert (empty.object_ids, empty.masks, empty.iou, empty.object_score) == ((), {}, {}, {})
    assert empty.video_logits().shape == (0, 1, *SIZE)
    assert empty.logits.shape == (0, *SIZE)
    assert len(empty.iou_b) == len(empty.score_b) == 0


def held_by(result):
    """The tensors of a result."""
    values = [getattr(result, field.name) for field in fields(result)]
    return [value for value in values if isinstance(value, torch.Tensor)]


def test_results_that_are_kept_hold_nothing_but_their_own_numbers():
    """No feature map, no answer of the decoder, no row of a larger tensor."""
    session = Sam2VideoInferenceSession.open(noise_clip(4), drawn_video_model())
    session.click(0, 1, (20, 20))
    session.click(0, 2, (50, 20))
    kept = [session.preview(0), *session.propagate()]
    features = weakref.ref(session._tracker.encoder.encode(3).fine_bchw)
    session.close()
    del session
    gc.collect()

    assert features() is None
    for result in kept:
        for tensor in held_by(result):
            assert tensor.untyped_storage().nbytes() == tensor.nbytes
    assert len(kept) == 5


class ArrivedCopies:
    """Copies to the host, of which it is noted what was copied."""

    def __init__(self):
        self.taken = []

    def take(self, tensor):
        self.taken.append(tensor)
        return tensor.clone()


def test_everything_of_a_result_leaves_an_accelerator(monkeypatch):
    """Logits too: a list of results would fill its memory."""
    found, copies = result(1, 2), ArrivedCopies()
    on_device = held_by(found)
    monkeypatch.setattr("sam2_hf.video.frame_result.HOST", ("meta",))  # as if this were a GPU

    brought = found.start_host_copy(copies).finish_host_copy()

    assert not {id(tensor) for tensor in held_by(brought)} & {id(tensor) for tensor in on_device}
    assert torch.equal(brought.logits_bhw, found.logits_bhw)
    assert np.array_equal(brought.masks[11], found.masks[11])
