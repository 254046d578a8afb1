"""Masks of a run: of a session, a result, files and folders."""

import numpy as np
import pytest
from PIL import Image

from sam2_hf.errors import DataError
from sam2_hf.writers.run_comparison import compare_runs
from tests.fakes import fake_session_on
from tests.writers.masklet_files import mask_of, write_masklets


def test_files_folders_and_label_pictures_are_read_alike(tmp_path, before, after):
    (tmp_path / "run").mkdir()
    before.rename(tmp_path / "run" / before.name)
    labels = tmp_path / "run_masks"
    labels.mkdir()
    for frame, columns in enumerate((4, 4, 4, 2)):
        Image.fromarray(mask_of(columns).astype(np.uint8)).save(labels / f"{frame:05d}.png")

    by_folder = compare_runs(tmp_path / "run", after).objects[1]
    by_labels = compare_runs(str(labels), after).objects[1]

    assert by_folder.described() == by_labels.described()


def test_a_closed_run_is_refused():
    session = fake_session_on(2)
    session.click(0, 1, (20, 30))
    list(session.propagate())
    session.close()

    with pytest.raises(DataError, match="closed"):
        compare_runs(session, session)


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[]",
        "{",
        '{"masklet_id": [1e400], "masklet": []}',
        '{"masklet_id": [1], "masklet": [[1, 2]]}',
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, content, after):
    (tmp_path / "other.json").write_text(content)

    with pytest.raises(DataError, match=r"other\.json is n"):
        compare_runs(tmp_path / "other.json", after)


def test_what_is_no_run_is_refused(tmp_path, before, after):
    (tmp_path / "empty").mkdir()
    (tmp_path / "colors").mkdir()
    Image.new("RGB", (8, 6)).save(tmp_path / "colors" / "0.png")
    small = write_masklets(tmp_path / "small.json", [], [1])
    small.write_text(small.read_text().replace("[]", '[[{"size": [2, 2], "counts": "04"}]]'))

    for run, words in (
        (3, "3 is not a run"),
        (tmp_path / "missing", "there is no file of masklets"),
        (tmp_path / "empty", "no results"),
        (tmp_path / "colors", "colors instead of labels"),
        (tmp_path, "several videos"),
        (small, "different sizes"),
    ):
        with pytest.raises(DataError, match=words):
            compare_runs(before, run)
