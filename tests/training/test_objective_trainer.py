"""The objective inside transformers' own Trainer, as it is."""

import pytest
import torch
from transformers import Trainer, TrainingArguments

from sam2_hf.training.objective import Sam2VideoForTraining
from sam2_hf.training.prompt_simulation import PromptSchedule
from tests.drawn_video import own_video_model
from tests.training.moving_shapes import two_clips

pytest.importorskip("accelerate")


class TwoClips(torch.utils.data.Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        clips, labels = two_clips()
        return {"clips": clips[index], "labels": labels[index]}


def trainer_for(objective, folder, **options):
    arguments = TrainingArguments(
        output_dir=str(folder),
        max_steps=2,
        per_device_train_batch_size=2,
        learning_rate=1e-3,
        report_to="none",
        save_strategy="no",
        use_cpu=True,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        **options,
    )
    return Trainer(objective, arguments, train_dataset=TwoClips(), eval_dataset=TwoClips())


@pytest.mark.parametrize(
    "options", [{}, {"gradient_accumulation_steps": 2, "per_device_eval_batch_size": 1}]
)
def test_a_trainer_takes_two_steps(tmp_path, one_thread, options):
    model = own_video_model()
    before = {name: weight.clone() for name, weight in model.named_parameters()}

    result = trainer_for(
        Sam2VideoForTraining(model, PromptSchedule(corrections=1)), tmp_path, **options
    ).train()

    assert result.global_step == 2
    assert result.training_loss > 0
    changed = {n for n, weight in model.named_parameters() if not torch.equal(weight, before[n])}
    assert "mask_decoder.iou_token.weight" in changed


def test_a_trainer_measures_the_loss_and_checkpoints_activations(tmp_path, one_thread):
    objective = Sam2VideoForTraining(own_video_model(), PromptSchedule(corrections=1))
    trainer = trainer_for(
        objective, tmp_path, activation_checkpointing=True, prediction_loss_only=True
    )

    trainer.train()

    assert objective.model.is_activation_checkpointing
    assert trainer.evaluate()["eval_loss"] > 0
