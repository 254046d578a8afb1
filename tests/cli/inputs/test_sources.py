"""Where photos and videos of a command line may be."""

import io
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sam2_hf.cli.inputs.sources import PHOTO, Source, find_video, list_photos
from sam2_hf.errors import ImageError, PromptError, VideoError
from tests.cli.inputs.web_files import serve


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with four pictures, a text and a hidden file."""
    (tmp_path / "sub").mkdir()
    for name in ("f10.png", "f2.png", "sub/deep.jpg", "odd[1].png", "notes.txt", "._f2.png"):
        (tmp_path / name).write_bytes(b"1")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def pipe_in(monkeypatch, content):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def names(*texts):
    listed = list_photos(texts)
    assert not any(source.problem for source in listed)
    return [source.name for source in listed]


def problem(text):
    (source,) = list_photos([text])
    return source.problem


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("f2.png", ["f2.png"]),
        (".", ["f2.png", "f10.png", "odd[1].png"]),
        ("sub", ["sub/deep.jpg"]),
        ("f*.png", ["f2.png", "f10.png"]),
        ("f*", ["f2.png", "f10.png"]),
        ("*", ["f2.png", "f10.png", "odd[1].png"]),
        ("notes.*", ["notes.txt"]),  # whoever names it wants it
        ("**/*.jpg", ["sub/deep.jpg"]),
        ("odd[1].png", ["odd[1].png"]),  # a file of this name is no pattern
    ],
)
@pytest.mark.usefixtures("folder")
def test_photos_are_files_folders_and_patterns(text, expected):
    assert names(text) == expected


@pytest.mark.usefixtures("folder")
def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    assert names("~/f2.png", "~/f1*.png") == [str(tmp_path / "f2.png"), str(tmp_path / "f10.png")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("f3.png", "there is no image file f3.png. Did you mean f2.png?"),
        ("zzz.jpg", "Check the path"),
        ("no/f2.png", "There is no folder no either"),
        ("g*.png", "nothing matches g*.png"),
        ("ftp://host/cup.jpg", "Use http:// or https://"),
        ("file:///cup.jpg", "Use http:// or https://"),
        ("", "an empty string"),
        ("f\0.png", "cannot be read"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_is_not_there_says_what_to_do(text, told):
    assert told in problem(text)


def test_an_empty_folder_points_at_the_folders_below(tmp_path):
    assert "has no picture" in problem(str(tmp_path))


@pytest.mark.usefixtures("folder")
def test_a_list_is_read_from_a_file_or_from_stdin(monkeypatch, tmp_path):
    lines = b"f2.png\r\n\nsub\nhttp://host/a.png\n"
    (tmp_path / "list.txt").write_bytes(lines)
    expected = ["f10.png", "f2.png", "sub/deep.jpg", "a.png"]

    assert [source.name for source in list_photos(["f10.png"], "list.txt")] == expected
    pipe_in(monkeypatch, lines)
    assert [source.name for source in list_photos(["f10.png"], "-")] == expected


def test_a_list_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(ImageError, match="there is no list of photos"):
        list_photos([], str(tmp_path / "none.txt"))


@pytest.mark.parametrize(("texts", "from_file"), [(["-", "-"], None), (["-"], "-")])
def test_stdin_is_read_once(texts, from_file, monkeypatch):
    pipe_in(monkeypatch, b"a.png")

    with pytest.raises(PromptError, match="can be read only once"):
        list_photos(texts, from_file)


def test_stdin_becomes_a_file_that_goes_again(monkeypatch):
    pipe_in(monkeypatch, b"\x89PNG")
    (source,) = list_photos(["-"])

    with source.file() as path:
        assert (path.name, path.read_bytes()) == ("stdin", b"\x89PNG")
    assert not path.parent.exists()


def test_an_empty_stdin_says_how_to_use_it(monkeypatch):
    pipe_in(monkeypatch, b"")

    with pytest.raises(VideoError, match=r"sam2-hf track - < cup\.mp4"), find_video("-").file():
        pass


def test_a_closed_stdin_says_how_to_use_it(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)

    with pytest.raises(VideoError, match="nothing arrives there"), find_video("-").file():
        pass
    with pytest.raises(ImageError, match="stdin, which is closed"):
        list_photos([], "-")


def test_stdin_has_the_limit_of_a_download(monkeypatch):
    pipe_in(monkeypatch, b"12345")
    small = Source("-", replace(PHOTO, limit=4))

    with pytest.raises(ImageError, match="larger than"), small.file():
        pass


def test_a_list_that_is_typed_has_a_hint(monkeypatch, capsys):
    pipe_in(monkeypatch, b"a.png\n")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)

    list_photos([], "-")

    assert "one per line; Ctrl-D" in capsys.readouterr().err


def test_a_folder_that_cannot_be_listed_does_not_stop_the_hint(monkeypatch, folder):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "listdir", refuse)

    assert problem("sub/none.png") == "there is no image file sub/none.png. Check the path."
    assert "Permission denied" in problem("sub")


def test_an_unknown_users_folder_is_not_there():
    assert "there is no image file ~nobody-here/a.png" in problem("~nobody-here/a.png")


@pytest.mark.parametrize(
    ("given", "path", "expected"),
    [
        ("sub/a.png", "sub/a.png", "sub/a.png"),
        ("https://x.org/a.png?w=9", "/tmp/sam2-hf-x/a.png", "https://x.org/a.png?w=9"),
        ("-", "/tmp/sam2-hf-x/stdin", "stdin"),
        ("data:image/png;base64,AA", None, "picture"),
    ],
)
def test_results_never_name_a_file_that_is_removed(given, path, expected):
    source = Source(given, PHOTO, None if path is None else Path(path))

    assert source.photo_name == expected


def test_an_address_becomes_a_file_of_its_name():
    with serve({"/a%20cup.png": b"content"}) as web:
        (source,) = list_photos([f"{web}/a%20cup.png?w=9#top"])
        with source.file() as path:
            assert (path.name, path.read_bytes()) == ("a cup.png", b"content")
        missing = Source(f"{web}/none.png", PHOTO)
        with pytest.raises(ImageError, match=r"none.png cannot be downloaded: .*404"):
            missing.file().__enter__()
    assert not path.parent.exists()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("http://host", "download"),
        ("http://host/", "download"),
        ("http://host/..", "download"),
        ("http://host/%2e%2e%2fetc%2fpasswd", "passwd"),
        ("http://host/a%3Ab%00.png", "a_b_.png"),
        ("http://host/" + "x" * 300 + ".png", "x" * 96 + ".png"),
        ("http://[broken/cup.png", "cup.png"),
    ],
)
def test_the_name_in_an_address_is_safe(address, name):
    assert Source(address, PHOTO).name == name


def test_a_video_is_one_file_or_folder(folder):
    assert find_video("sub").path.name == "sub"
    assert find_video("notes.tx?").path.name == "notes.txt"
    assert "2 files match f*.png" in find_video("f*.png").problem
    assert "nothing matches" in find_video("g*").problem
    assert "there is no video file or folder cup.mp4" in find_video("cup.mp4").problem
