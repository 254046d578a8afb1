import errno
from pathlib import Path

import pytest

from sam2_hf.errors import TrainingError
from sam2_hf.training.run_logging import CsvLog

COLUMNS = ("step", "loss", "note")


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


def lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def test_rows_are_appended_with_six_digits(tmp_path):
    log = CsvLog(tmp_path / "log.csv", COLUMNS, done=0)

    assert log.write({"step": 1, "loss": 1 / 3, "note": "a, b"})
    assert log.write({"step": 2, "loss": 12345678.0})

    assert lines(log.path) == ["step,loss,note", '1,0.333333,"a, b"', "2,1.23457e+07,"]


def test_a_resumed_run_drops_the_rows_of_steps_it_does_again(tmp_path):
    log = CsvLog(tmp_path / "log.csv", COLUMNS, done=0)
    for step in (1, 2, 3):
        log.write({"step": step})

    CsvLog(log.path, COLUMNS, done=2).write({"step": 3, "note": "again"})

    assert lines(log.path) == ["step,loss,note", "1,,", "2,,", "3,,again"]


def test_a_row_that_a_kill_cut_off_is_dropped(tmp_path):
    (tmp_path / "log.csv").write_text("step,loss,note\n1,2,\n2,3")

    log = CsvLog(tmp_path / "log.csv", COLUMNS, done=2)

    assert lines(log.path) == ["step,loss,note", "1,2,"]


def test_a_new_run_begins_a_new_file(tmp_path):
    (tmp_path / "log.csv").write_text("other\n5\n")

    assert lines(CsvLog(tmp_path / "log.csv", COLUMNS, done=0).path) == ["step,loss,note"]


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "log.csv").write_text("step,other\n1,2\n")

    with pytest.raises(TrainingError, match=r"log\.csv has the columns step, other"):
        CsvLog(tmp_path / "log.csv", COLUMNS, done=1)


def test_rows_that_a_full_disk_refuses_are_written_later(tmp_path, monkeypatch):
    log = CsvLog(tmp_path / "log.csv", COLUMNS, done=0)
    with monkeypatch.context() as broken:
        broken.setattr(Path, "open", full_disk)
        assert not log.write({"step": 1})

    assert log.write({"step": 2})

    assert lines(log.path) == ["step,loss,note", "1,,", "2,,"]
