import pytest
import yaml

from sam2_hf.errors import TrainingError
from sam2_hf.training.config_io import (
    as_yaml,
    changed_data,
    changed_settings,
    find_config,
    read_config,
    refuse_changes,
    to_plain,
)

TEXT = """
model: m
output: runs/o
steps: 10
data:
  - {kind: pairs, path: here}
optimizer: {learning_rate: 5e-6}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(TEXT)
    return str(path)


def test_a_config_is_written_and_read_again(file, tmp_path):
    config = read_config(file)
    (tmp_path / "again.yaml").write_text(as_yaml(config))

    assert read_config(str(tmp_path / "again.yaml")) == config
    assert config.optimizer.learning_rate == 5e-6


def test_flags_change_single_settings(file):
    config = read_config(file, ["steps=20", "data.0.path=there", "frozen=['a.*']", "lora.rank=4"])

    assert (config.steps, config.data[0].path, config.frozen) == (20, "there", ("a.*",))
    assert config.lora.rank == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("stepz=3", "Did you mean steps?"),
        ("optimizer.learning_rat=3", "Did you mean learning_rate?"),
        ("steps", "is not of the form name=value"),
        ("steps={", "the value is not YAML"),
        ("data.3.path=x", "3 is not an index of a list of 1"),
    ],
)
def test_a_flag_that_cannot_be_followed_is_refused(file, change, message):
    with pytest.raises(TrainingError) as caught:
        read_config(file, [change])

    assert message in str(caught.value)


@pytest.mark.parametrize("content", ["a: [", "- 1", "\x00"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path, content):
    (tmp_path / "bad.yaml").write_text(content)

    with pytest.raises(TrainingError, match=r"bad\.yaml"):
        read_config(str(tmp_path / "bad.yaml"))


def test_a_recipe_is_found_by_its_name():
    assert find_config("finetune-images") == find_config("finetune-images.yaml")

    with pytest.raises(TrainingError, match="Did you mean mose-finetune-base-plus"):
        find_config("mose-finetune-base-pluss")


def test_what_does_not_change_a_number_may_differ_on_resuming(file):
    before = to_plain(read_config(file))
    free = ["output=p", "workers=9", "logging.every=7", "checkpoints.keep=5", "data.0.path=moved"]

    assert changed_settings(before, read_config(file, [*free, "validation.every=3"])) == []


def test_a_setting_that_differs_on_resuming_is_refused_with_both_values(file):
    before = to_plain(read_config(file))
    now = read_config(file, ["steps=20", "optimizer.learning_rate=1e-3", "data.0.batch_size=2"])

    with pytest.raises(TrainingError) as caught:
        refuse_changes(changed_settings(before, now), "runs/p")

    lines = ["steps was 10, is 20", "optimizer.learning_rate was 5e-06, is 0.001"]
    assert all(line in str(caught.value) for line in [*lines, "data.0.batch_size was 8, is 2"])


def test_a_setting_that_is_newer_than_the_run_had_its_default(file):
    before = to_plain(read_config(file))
    del before["drop_path"], before["optimizer"]["betas"]

    assert changed_settings(before, read_config(file)) == []
    assert changed_settings(before, read_config(file, ["drop_path=0.1"])) == [
        "drop_path was 0.0, is 0.1"
    ]


def test_a_setting_that_is_gone_is_a_difference(file):
    before = {**to_plain(read_config(file)), "magic": 3}

    assert changed_settings(before, read_config(file)) == ["magic was 3, is None"]


def test_data_that_differ_are_named_and_a_run_that_did_not_write_them_down_is_trusted():
    now = ["photos: 3 items aa", "clips: 2 items bb"]

    assert changed_data(["photos: 4 items cc", now[1]], now) == [
        "the data of photos: 4 items cc are now photos: 3 items aa"
    ]
    assert changed_data(now, now) == changed_data(None, now) == []
    refuse_changes([], "runs/p")


def test_settings_are_written_short_on_request(file):
    short = yaml.safe_load(as_yaml(read_config(file), with_defaults=False))

    assert short == {
        "model": "m",
        "output": "runs/o",
        "data": [{"kind": "pairs", "path": "here"}],
        "steps": 10,
    }
