"""The image model in transformers' own `Trainer`, as it is."""

import inspect

import pytest
import torch
from transformers import Trainer, TrainingArguments
from transformers.utils.generic import find_labels

from sam2_hf import Sam2Model

pytest.importorskip("accelerate")


class Photos(torch.utils.data.Dataset):
    """Two photos with one kind of prompt each."""

    def __init__(self, **prompts):
        self.prompts = prompts

    def __len__(self):
        return 2

    def __getitem__(self, index):
        given = {name: values[index] for name, values in self.prompts.items()}
        labels = torch.zeros(3, 64, 64, dtype=torch.bool)
        labels[:, 8:40, 16:48] = True
        return {"pixel_values": torch.full((3, 64, 64), float(index)), "labels": labels, **given}


def trainer_for(model, photos, folder):
    arguments = TrainingArguments(
        str(folder), report_to=[], use_cpu=True, disable_tqdm=True, per_device_eval_batch_size=1
    )
    return Trainer(model, arguments, eval_dataset=photos)


@pytest.mark.parametrize("prompt", ["boxes", "masks", "points", "clicks"])
def test_evaluation_gives_a_loss_for_every_kind_of_prompt(
    own_model, clicks, boxes, mask_prompts, prompt, tmp_path
):
    photos = {
        "boxes": Photos(input_boxes=boxes),
        "masks": Photos(input_masks=mask_prompts),
        "points": Photos(input_points=clicks["input_points"]),
        "clicks": Photos(**clicks),
    }[prompt]

    scores = trainer_for(own_model, photos, tmp_path).evaluate()

    with torch.no_grad():
        alone = [
            own_model(**{name: value[None] for name, value in photos[index].items()}).loss
            for index in range(2)
        ]
    assert scores["eval_loss"] == pytest.approx(torch.stack(alone).mean().item(), rel=1e-5)


def test_prediction_keeps_answers_and_no_features(own_model, boxes, tmp_path):
    found = trainer_for(own_model, Photos(input_boxes=boxes), tmp_path).predict(
        Photos(input_boxes=boxes)
    )

    assert [one.shape for one in found.predictions] == [(2, 3, 3), (2, 3, 3, 16, 16), (2, 3, 1)]
    assert found.label_ids.shape == (2, 3, 64, 64)


def test_labels_alone_are_a_target_and_every_argument_keeps_its_name():
    assert find_labels(Sam2Model) == ["labels"]
    names = list(inspect.signature(Sam2Model.forward).parameters)
    assert names[:4] == ["self", "pixel_values", "input_points", "input_labels"]
