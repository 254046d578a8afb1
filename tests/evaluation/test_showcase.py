"""The program that makes the pictures at the top of the README."""

from pathlib import Path

import pytest
from PIL import Image

from evaluation import demo, showcase
from sam2_hf.errors import DataError
from sam2_hf.pipelines import loading

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_has_one_place_for_the_pictures_which_do_not_make_it_longer(tmp_path):
    text = README.read_text()

    assert text.count(showcase.BEGIN) == text.count(showcase.END) == 1
    page = tmp_path / "README.md"
    page.write_text(text)
    showcase.put_into(page, [tmp_path / name for name in showcase.ALTERNATIVES], "me/model")
    assert page.read_text().count("\n") <= text.count("\n")


def test_pictures_replace_what_is_between_the_comments_and_nothing_else(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Name\n<!-- showcase: here -->\nold\n<!-- /showcase -->\nend\n")
    pictures = [tmp_path / "docs" / name for name in showcase.ALTERNATIVES]

    for model in ("me/first", "me/second"):
        showcase.put_into(page, pictures, model)

    before, block = page.read_text().split("<!-- showcase: here -->\n")
    block, after = block.split("<!-- /showcase -->\n")
    assert (before, after) == ("# Name\n", "end\n")
    assert [f'src="docs/{name}"' in block for name in showcase.ALTERNATIVES] == [True] * 3
    assert "me/second" in block
    assert "old" not in block
    assert "me/first" not in block


def test_a_page_without_the_comments_stays_as_it_is(tmp_path):
    page = tmp_path / "README.md"
    page.write_text("# Name\n")

    with pytest.raises(DataError, match="Put both where the pictures go"):
        showcase.put_into(page, [], "me/model")

    assert page.read_text() == "# Name\n"


def test_the_animation_loops_and_stays_at_its_ends(tmp_path):
    frames = [Image.new("RGB", (32, 24), (0, 90, 20)) for _ in range(5)]
    for step, frame in enumerate(frames):
        frame.paste((200, 30, 30), (5 * step, 8, 5 * step + 5, 13))

    with Image.open(showcase.write_gif(frames, tmp_path / "track.gif")) as gif:
        times = []
        for frame in range(gif.n_frames):
            gif.seek(frame)
            times.append(gif.info["duration"])
            assert gif.info["loop"] == 0

    assert times == [1000, 80, 80, 80, 1000]


def test_the_clicks_are_those_of_the_demo():
    clicks = {f"0:{number}:{x},{y}" for number, (x, y) in showcase.IN_THE_CLIP.items()}

    assert clicks == {demo.CUP_IN_CLIP, demo.CAT_IN_CLIP}
    assert ",".join(map(str, showcase.ON_THE_CUP)) == demo.CUP


def test_without_the_hub_one_line_says_what_to_do(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(loading, "hub_answers", lambda _: False)
    monkeypatch.setattr(loading, "is_cached", lambda *_: False)

    assert showcase.main(["--out", str(tmp_path / "out")]) == 2

    error = capsys.readouterr().err
    assert "facebook/sam2.1-hiera-large is not on this machine" in error
    assert "give the path of a folder" in error
    assert not (tmp_path / "out").exists()
