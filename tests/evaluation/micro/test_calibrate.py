"""Calibration of predicted IoU: the head learns, all else stays."""

import pytest
import torch

from evaluation.images.photos import open_photo_sets
from evaluation.micro.calibrate import ScoredPrompts, collect, fit, main, summary
from sam2_hf import Sam2Model, Sam2VideoModel

HEAD = "mask_decoder.iou_prediction_head."


@pytest.fixture
def photos(small_data):
    return f"bsds=pairs:{small_data / 'bsds500' / 'val'}"


def test_only_the_head_changes(photos, tiny_checkpoint, tmp_path, capsys):
    options = ["--model", str(tiny_checkpoint), "--out", str(tmp_path / "new")]
    assert main([*options, "--photos", photos]) == 0

    before = Sam2VideoModel.from_pretrained(tiny_checkpoint).state_dict()
    after = Sam2VideoModel.from_pretrained(tmp_path / "new").state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith(HEAD) for name in changed)
    assert "held back, after" in capsys.readouterr().out


def test_prompts_are_scored_with_all_candidates(photos, tiny_checkpoint):
    model = Sam2Model.from_pretrained(tiny_checkpoint).eval()
    found = collect(model, open_photo_sets([photos], 0.01))

    predicted_nm = model.mask_decoder.iou_prediction_head(found.tokens_nc)
    assert predicted_nm.shape == found.iou_nm.shape
    assert found.iou_nm.shape[1] == 1 + model.mask_decoder.num_multimask_outputs
    assert ((found.iou_nm >= 0) & (found.iou_nm <= 1)).all()
    assert model.mask_decoder.iou_prediction_head._forward_pre_hooks == {}


def test_a_fit_predicts_what_tokens_tell():
    torch.manual_seed(0)
    tokens_nc = torch.randn(400, 8)
    iou_nm = tokens_nc[:, :4].sigmoid()
    scored = ScoredPrompts(tokens_nc, iou_nm, torch.arange(400))
    head = torch.nn.Linear(8, 4)
    learned, held = scored.where(scored.photo_n % 2 == 0), scored.where(scored.photo_n % 2 == 1)

    fitted = fit(head, learned, held)

    def error(of):
        return (of(held.tokens_nc).sigmoid() - held.iou_nm).abs().mean().item()

    assert error(fitted) < 0.9 * error(head)
    assert float(summary(fitted, held).split()[2]) > float(summary(head, held).split()[2])


def test_a_fit_that_would_predict_worse_is_not_kept():
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 4)
    tokens_nc = torch.randn(100, 8)
    with torch.no_grad():
        right = ScoredPrompts(tokens_nc, head(tokens_nc).sigmoid(), torch.arange(100))
    wrong = ScoredPrompts(tokens_nc, 1 - right.iou_nm, right.photo_n)

    kept = fit(head, wrong, right).state_dict()

    assert all(torch.equal(value, kept[name]) for name, value in head.state_dict().items())


def test_photos_without_objects_are_an_error(photos, tiny_checkpoint, tmp_path, capsys):
    options = ["--model", str(tiny_checkpoint), "--out", str(tmp_path / "new")]
    assert main([*options, "--photos", photos.replace("val", "nothing")]) == 2
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
