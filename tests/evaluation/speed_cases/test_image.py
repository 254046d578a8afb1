"""Cases of photos, on a small model."""

import pytest
import torch

from evaluation.speed_cases import image
from evaluation.speed_cases.image import Subjects, time_many_clicks


@pytest.fixture
def subjects(tiny_model):
    side = tiny_model.image_size
    pixels = torch.rand(1, 3, side, side)
    return Subjects(tiny_model, tiny_model, None, None, None, pixels, [])


@pytest.mark.parametrize(
    ("together", "case"), [(True, "6 clicks, one call"), (False, "6 clicks, one call each")]
)
def test_many_clicks_are_asked_in_one_call_or_one_by_one(subjects, together, case, monkeypatch):
    monkeypatch.setattr(image, "MANY_CLICKS", 6)
    asked = []
    hook = subjects.ours.register_forward_pre_hook(
        lambda model, given, options: asked.append(options["input_points"].shape[1]),
        with_kwargs=True,
    )
    try:
        result = time_many_clicks(subjects, 2, together=together)
    finally:
        hook.remove()

    assert result.case == case
    assert result.ours > 0 < result.transformers
    assert set(asked) == ({6} if together else {1})
