"""The memories of one hypothesis of an object."""

import torch

from sam2_hf.video.policies.hypothesis import Hypothesis, hypotheses
from sam2_hf.video.policies.memory_policy import MemoryRules, Sam2Policy, TrackingStep


class Bank:
    """An answer and two further hypotheses on every frame; each memory is its number."""

    def spatial_bx(self, frame):
        return torch.tensor([[10 * frame]])

    def pointer_bd(self, frame):
        return torch.tensor([[10.0 * frame]])

    def further_spatial_kx(self, frame):
        return torch.tensor([[10 * frame + 1], [10 * frame + 2]])

    def further_pointers_kd(self, frame):
        return None if frame == 9 else torch.tensor([[10.0 * frame + 1], [10.0 * frame + 2]])


def test_each_frame_gives_the_memory_that_is_on_the_path():
    view = Hypothesis(Bank(), {3: 2, 4: 0, 5: 1})

    assert [int(view.spatial_bx(frame)) for frame in (3, 4, 5, 6)] == [32, 40, 51, 60]
    assert [int(view.pointer_bd(frame)) for frame in (3, 4, 5, 6)] == [32, 40, 51, 60]


def test_a_row_that_is_not_there_is_no_memory():
    view = Hypothesis(Bank(), {3: 3, 4: -1, 9: 1})

    assert view.spatial_bx(3) is view.spatial_bx(4) is view.pointer_bd(9) is None


def test_a_policy_without_hypotheses_tracks_from_the_bank_itself():
    bank = Bank()

    assert hypotheses(bank, TrackingStep(3), Sam2Policy(MemoryRules())) == [bank]
