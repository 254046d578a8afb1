"""`python -m evaluation.report`, with folders as the evaluations leave them."""

import pytest

from evaluation import run_image, run_interactive, run_vos
from evaluation.report import main
from tests.labeled_squares import write_photos
from tests.small_sets import write_davis


@pytest.fixture(scope="module")
def runs(tmp_path_factory, tiny_checkpoint):
    """A run of each protocol."""
    root = tmp_path_factory.mktemp("runs")
    davis = ["--dataset", "davis17-val", "--root", str(write_davis(root / "davis", ("cat",)))]
    write_photos(root / "data")
    photos = ["--data", f"bsds=pairs:{root}/data/bsds500/val"]
    few = ["--frames", "1", "--clicks", "1"]
    for program, name, given in (
        (run_vos, "vos", davis),
        (run_interactive, "clicks", [*davis, *few]),
        (run_image, "photos", photos),
    ):
        out = root / "out" / name
        assert program.main(["--model", str(tiny_checkpoint), "--out", str(out), *given]) == 0
    return [str(root / "out" / name) for name in ("vos", "clicks", "photos")]


def test_a_page_in_markdown_has_its_pictures_beside_it(runs, tmp_path):
    assert main([*runs, "--out", str(tmp_path / "card.md")]) == 0

    text = (tmp_path / "card.md").read_text()
    assert "## Semi-supervised video segmentation: sam2-tiny on davis17-val" in text
    assert "| cat | 2 |" in text
    assert "### Each object, online" in text
    for name in ("1-vos-worst.png", "2-clicks-curves.png", "3-photos-worst.png"):
        assert f"(card-pictures/{name})" in text
        assert (tmp_path / "card-pictures" / name).is_file()


def test_pictures_of_runs_in_folders_of_one_name_stay_apart(runs, tmp_path):
    assert main([runs[0], runs[0], "--out", str(tmp_path / "my page.md")]) == 0

    assert len(list((tmp_path / "my page-pictures").iterdir())) == 2
    assert "(my%20page-pictures/2-vos-worst.png)" in (tmp_path / "my page.md").read_text()


def test_a_page_in_html_stands_alone(runs, tmp_path):
    assert main([*runs, "--out", str(tmp_path / "page.html")]) == 0

    text = (tmp_path / "page.html").read_text()
    assert text.count("<table>") == 6
    assert text.count('<img src="data:image/png;base64,') == 3
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_a_run_that_has_not_ended_is_named(runs, tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "page.md")]) == 2
    assert f"{tmp_path}/run.json cannot be read" in capsys.readouterr().err


def test_other_pages_are_refused(runs, tmp_path, capsys):
    assert main([runs[0], "--out", str(tmp_path / "page.pdf")]) == 2
    assert "ends in .md or .html" in capsys.readouterr().err
