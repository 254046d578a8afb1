import pytest

from sam2_hf.errors import TrainingError
from sam2_hf.training.config import TrainConfig
from sam2_hf.training.config_io import from_plain, to_plain, with_value

LEAST = {"model": "m", "output": "o", "data": [{"kind": "pairs"}], "steps": 1}


def test_every_default_makes_sense_and_survives_a_round_trip():
    config = from_plain(TrainConfig, LEAST)

    assert from_plain(TrainConfig, to_plain(config)) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": ""}, "model is"),
        ({"output": ""}, "output is"),
        ({"data": []}, "data is"),
        ({"steps": 0}, "steps is 0"),
        ({"steps": None}, "steps is None and epochs is None"),
        ({"epochs": 3}, "steps is 1 and epochs is 3"),
        ({"steps": None, "epochs": 0}, "epochs is 0"),
        ({"gradient_accumulation": 0}, "gradient_accumulation is 0"),
        ({"workers": -1}, "workers is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"drop_path": 1}, "drop_path is 1"),
        ({"ema_decay": 1}, "ema_decay is 1"),
        ({"precision": "fp8"}, "precision is 'fp8'"),
        ({"push": "a/b/c"}, "push is 'a/b/c', but it must be OWNER/NAME"),
        ({"optimizer": {"learning_rate": 0}}, "optimizer: learning_rate is 0"),
        ({"optimizer": {"layer_decay": 1.1}}, "layer_decay is 1.1"),
        ({"optimizer": {"betas": [0.9, 1]}}, "betas is"),
        ({"optimizer": {"clip_norm": 0}}, "clip_norm is 0"),
        ({"optimizer": {"warmup_steps": -1}}, "warmup_steps is -1"),
        ({"optimizer": {"final_share": 2}}, "final_share is 2"),
        ({"optimizer": {"weight_decay": -1}}, "weight_decay is -1"),
        ({"lora": {"rank": 0}}, "lora: rank is 0"),
        ({"lora": {"targets": []}}, "targets is"),
        ({"lora": {"also": ["mask_decoder.*"]}}, "Set merge: true"),
        ({"validation": {"every": 0}}, "validation: every is 0"),
        ({"validation": {"max_items": 0}}, "max_items is 0"),
        ({"logging": {"every": 0}}, "logging: every is 0"),
        ({"checkpoints": {"keep": 0}}, "checkpoints: keep is 0"),
    ],
)
def test_values_that_make_no_sense_are_refused(change, message):
    with pytest.raises(TrainingError) as caught:
        from_plain(TrainConfig, {**LEAST, **change})

    assert message in str(caught.value)


def test_a_setting_is_read_under_its_earlier_name():
    config = from_plain(TrainConfig, {**LEAST, "optimiser": {"learning_rate": 1e-3}})

    assert config.optimizer.learning_rate == 1e-3


def test_a_setting_under_both_names_is_refused():
    both = {"optimiser": {"learning_rate": 1e-3}, "optimizer": {"learning_rate": 1e-4}}

    with pytest.raises(TrainingError, match="has optimiser and optimizer"):
        from_plain(TrainConfig, {**LEAST, **both})


@pytest.mark.parametrize("name", ["optimizer", "optimiser"])
def test_a_change_replaces_a_setting_under_either_name(name):
    changed = with_value({"optimiser": {"learning_rate": 1e-3}}, f"{name}.learning_rate", 2.0)

    assert changed == {"optimizer": {"learning_rate": 2.0}}
