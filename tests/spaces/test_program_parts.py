"""Parts of the Space that need neither a model nor a browser."""

import re
from pathlib import Path

import gradio as gr
import pytest

from sam2_hf import PromptError, VideoError
from sam2_space.api_prompts import read_file, read_objects, read_video_prompts, require_direction
from sam2_space.limits import LimitError, Limits
from sam2_space.photo_work import PhotoScene
from sam2_space.private_files import find_cookie
from sam2_space.program import build_parser
from sam2_space.readable_errors import as_message, readable, without_paths
from sam2_space.video_work import FramePrompt, VideoScene
from sam2_space.widgets.components import css, progress_bar

ROOT = Path(__file__).parents[2]
LIMITS = Limits(objects=2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/tmp/sam2-space-x/ab/cup.png cannot be read", "the file cannot be read"),
        ("no file C:\\data\\me\\cup.png here", "no file the file here"),
        ("frame 3 of 48 and/or more", "frame 3 of 48 and/or more"),
        ("5/10 clicks", "5/10 clicks"),
    ],
)
def test_messages_lose_paths_and_nothing_else(text, expected):
    assert without_paths(text) == expected


def test_what_nobody_expected_is_logged_and_not_told(caplog):
    @readable
    def handler():
        raise RuntimeError("secret /srv/data/x")

    with pytest.raises(gr.Error) as caught:
        handler()

    assert "on our side" in caught.value.message
    assert "secret" not in caught.value.message
    assert "secret" in caplog.text


def test_an_error_that_comes_again_is_logged_in_a_line(caplog):
    """Or whoever finds a request that fails could fill the log."""

    def fail():
        raise RuntimeError("again and again")

    for _ in range(3):
        with pytest.raises(gr.Error):
            readable(fail)()

    assert caplog.text.count("Traceback") == 1
    assert caplog.text.count("again: RuntimeError in ") == 2


def test_a_generator_is_wrapped_as_one():
    @readable
    def steps():
        yield 1
        raise VideoError("cannot read /srv/data/clip.mp4 at all")

    results = steps()

    assert next(results) == 1
    with pytest.raises(gr.Error) as caught:
        next(results)
    assert caught.value.message == "cannot read the file at all"


def test_a_message_of_gradio_stays_as_it_is():
    error = gr.Error("as it is")

    assert as_message(error) is error


@pytest.mark.parametrize(
    ("objects", "error"),
    [
        ("nonsense", PromptError),
        ([], PromptError),
        ([{}], PromptError),
        ([{"path": "/etc"}], PromptError),
        ([{"points": [[1, 2]], "labels": [5]}], PromptError),
        ([{"points": [[1, 2]]}] * 3, LimitError),
        ([{"points": [[1, 2]] * 65}], LimitError),
    ],
)
def test_objects_of_a_program_are_checked(objects, error):
    with pytest.raises(error):
        read_objects(objects, LIMITS)


@pytest.mark.parametrize(
    ("prompts", "error"),
    [
        ([{"points": [[1, 2]]}], PromptError),
        ([{"frame": -1, "object_id": 1, "points": [[1, 2]]}], PromptError),
        ([{"frame": 0, "object_id": 256, "points": [[1, 2]]}], PromptError),
        ([{"frame": 0, "object_id": 1}], PromptError),
        ([{"frame": 0, "object_id": n, "points": [[1, 2]]} for n in (1, 2, 3)], LimitError),
        ([{"frame": 0, "object_id": 1, "points": [[1, 2]]}] * 65, LimitError),
        ([{"frame": n, "object_id": 1, "points": [[1, 2]]} for n in range(1001)], LimitError),
    ],
)
def test_prompts_of_a_program_are_checked(prompts, error):
    with pytest.raises(error):
        read_video_prompts(prompts, LIMITS)


def test_what_a_program_sends_is_understood():
    (prompt,) = read_video_prompts([{"frame": 2, "object_id": 9, "box": [1, 2, 3, 4]}], LIMITS)
    (thing,) = read_objects([{"points": [[1, 2], [3, 4]], "labels": [1, 0]}], LIMITS)

    assert (prompt.frame, prompt.object_id, tuple(prompt.box)) == (2, 9, (1, 2, 3, 4))
    assert [one.positive for one in thing.clicks] == [True, False]
    assert require_direction("both") == "both"
    with pytest.raises(PromptError, match="forward, backward, both"):
        require_direction("up")
    with pytest.raises(PromptError, match="no file"):
        read_file("photo.jpg")


@pytest.mark.parametrize("header", ["", "sam2_space_visitor=short", "x=1", "sam2_space_visitor"])
def test_only_our_own_cookie_counts(header):
    assert find_cookie(header) is None
    for first in ('other={"a":1}; ', "x[y]=1;"):
        assert find_cookie(f"{first}sam2_space_visitor=" + "a1" * 16) == "a1" * 16
    assert find_cookie("x=1; sam2_space_visitor=" + "a1" * 16) == "a1" * 16


def test_markup_in_a_status_is_text():
    assert "<b>" not in progress_bar(1, 2, "<b>bold</b>")


def test_names_of_objects_are_cut_and_never_empty():
    scene = PhotoScene().with_name("  a   cup  ", 1)

    assert list(scene.labels()) == [("1 · a cup", 1)]
    assert scene.with_name("x" * 99, 1).current.name == "x" * 40
    assert scene.with_name(" ", 1).current.name == "object"


def test_a_removed_object_makes_room_for_one_of_its_number():
    scene = VideoScene()
    for number in (1, 2):
        scene = scene.with_prompt(FramePrompt(0, number, click=(1, 2, True)))
        scene = scene.with_new_object(3)
    assert (scene.active, scene.prompted) == (3, [1, 2])

    scene = scene.with_prompt(FramePrompt(5, 3, click=(1, 2, True)))
    with pytest.raises(LimitError):
        scene.with_new_object(3)
    left = VideoScene(scene.prompts, active=2).without_active()

    assert left.prompted == [1, 3]
    assert left.with_new_object(3).active == 2


def test_prompts_of_other_objects_and_frames_are_not_drawn():
    said = (
        FramePrompt(0, 1, click=(1, 2, True)),
        FramePrompt(0, 2, click=(3, 4, True)),
        FramePrompt(7, 1, box=(1, 2, 3, 4)),
    )

    drawn = VideoScene(said, active=1).drawn_on(0)

    assert (drawn.clicks, drawn.boxes) == (((1, 2, True),), ())


def test_every_limit_is_a_flag():
    arguments = build_parser().parse_args(["--idle-minutes", "0.5", "--jobs", "7"])

    assert (arguments.idle_minutes, arguments.jobs, arguments.file_mb) == (0.5, 7, 100)


def test_the_hub_installs_the_gradio_that_is_tested_here():
    header = (ROOT / "spaces/README.md").read_text().split("---")[1]
    pinned = (ROOT / "constraints.txt").read_text()

    version = re.search(r"^sdk_version: (.*)$", header, re.MULTILINE)[1]
    assert f"\ngradio=={version}\n" in pinned
    assert (ROOT / "spaces/requirements.txt").read_text().startswith("sam2-hf[video]")


def test_each_objects_button_has_the_color_of_its_mask():
    assert "nth-of-type(1) { border-left-color: rgb(86, 180, 233); }" in css()
