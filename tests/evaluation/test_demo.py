"""What `make demo` runs, and with which model."""

import pytest

from evaluation import demo
from sam2_hf.cli.arguments import build_parser


def reachable(monkeypatch, *, cached, answers):
    monkeypatch.setattr(demo, "is_cached", lambda _: cached)
    monkeypatch.setattr(demo, "hub_answers", lambda _: answers)


@pytest.mark.parametrize(
    ("asked", "cached", "answers", "model"),
    [
        ("runs/best", True, True, "runs/best"),
        (None, True, False, demo.RELEASED),
        (None, False, True, demo.RELEASED),
        (None, False, False, demo.SMALL_MODEL),
    ],
)
def test_a_released_checkpoint_is_taken_where_it_can_be_had(
    monkeypatch, asked, cached, answers, model
):
    reachable(monkeypatch, cached=cached, answers=answers)

    assert demo.chosen_model(asked)[0] == model


def test_the_command_line_knows_every_command(tmp_path):
    for command in demo.commands(demo.SMALL_MODEL, tmp_path):
        assert build_parser().parse_args(command).command == command[0]


def test_photo_and_clip_are_there_before_the_first_command_runs(monkeypatch, tmp_path, capsys):
    reachable(monkeypatch, cached=False, answers=False)
    seen = []

    def run(command):
        assert {"coffee.png", "clip.mp4"} <= {path.name for path in tmp_path.iterdir()}
        (tmp_path / command[0]).mkdir()
        (tmp_path / command[0] / "overlay.png").touch()
        seen.append(command[0])
        return 0

    monkeypatch.setattr(demo, "sam2_hf", run)

    assert demo.main(["--out", str(tmp_path)]) == 0
    assert seen == ["segment", "everything", "track"]
    assert str(tmp_path / "track" / "overlay.png") in capsys.readouterr().out


def test_the_first_command_that_fails_ends_the_demo(monkeypatch, tmp_path):
    reachable(monkeypatch, cached=False, answers=False)
    monkeypatch.setattr(demo, "sam2_hf", lambda _: 2)

    assert demo.main(["--out", str(tmp_path)]) == 2
