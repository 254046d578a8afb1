"""Measuring in parts, and going on after an interruption."""

from dataclasses import replace

import pytest

from evaluation.comparison.measurement_plan import Job, baseline_jobs, carry_out, model_jobs
from evaluation.comparison.measurements import PhotoScore, PhotoScores
from evaluation.comparison.score_file import load_scores
from evaluation.measured_model import MeasuredModel
from evaluation.micro.sets import bsds_set, coco_set, davis_set

MODEL = MeasuredModel("micro", "abc", 10, 20, 64)


class Counted:
    """Measures the same every time, and counts how often."""

    def __init__(self, error=None):
        self.times, self.error = 0, error

    def __call__(self):
        self.times += 1
        if self.error:
            raise self.error
        return PhotoScores(1, 1, (PhotoScore("model", "", 0.5),))


def jobs_of(*measures):
    return [Job(f"set {n}", "model", "1", measure) for n, measure in enumerate(measures)]


def test_every_part_is_on_the_disk_as_soon_as_it_is_measured(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(jobs_of(Counted(), Counted(KeyboardInterrupt())), MODEL, tmp_path)

    assert [part.data_set for part in load_scores(tmp_path).parts] == ["set 0"]
    assert "set 0" in (tmp_path / "scores.md").read_text()


def test_what_was_finished_is_not_measured_again(tmp_path):
    first, second = Counted(), Counted()
    with pytest.raises(KeyboardInterrupt):
        carry_out(jobs_of(first, Counted(KeyboardInterrupt())), MODEL, tmp_path)

    scores = carry_out(jobs_of(first, second), MODEL, tmp_path)

    assert (first.times, second.times) == (1, 1)
    assert len(scores.parts) == 2


def test_an_interrupted_run_ends_with_the_file_of_one_that_was_not(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        carry_out(jobs_of(Counted(), Counted(KeyboardInterrupt())), MODEL, tmp_path / "cut")

    for folder in ("cut", "whole"):
        carry_out(jobs_of(Counted(), Counted()), MODEL, tmp_path / folder)

    files = [tmp_path / folder / "scores.json" for folder in ("cut", "whole")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_depends_on_something_that_changed_is_measured_again_and_dropped_at_once(tmp_path):
    jobs = jobs_of(Counted(KeyboardInterrupt()), Counted())
    carry_out(jobs_of(Counted(), Counted()), MODEL, tmp_path)

    with pytest.raises(KeyboardInterrupt):
        carry_out([replace(job, depends="2") for job in jobs[::-1]], MODEL, tmp_path)

    assert [(p.data_set, p.depends) for p in load_scores(tmp_path).parts] == [("set 1", "2")]


def test_baselines_do_not_depend_on_the_model_and_model_scores_do(small_data):
    sets = [bsds_set(small_data), coco_set(small_data)], davis_set(small_data)

    baselines = [job.depends for job in baseline_jobs(*sets)]
    ours = [job.depends for job in model_jobs(*sets, MODEL, (None, None))]
    other = [job.depends for job in model_jobs(*sets, replace(MODEL, sha256="d"), (None, None))]

    assert len({*baselines, *ours, *other}) == 9


def test_a_changed_label_map_changes_what_scores_depend_on(small_data):
    sets = [bsds_set(small_data), coco_set(small_data)], davis_set(small_data)
    before = [job.depends for job in baseline_jobs(*sets)]
    path = small_data / "bsds500/val/100.0.png"
    path.write_bytes(path.read_bytes() + b"x")

    after = [job.depends for job in baseline_jobs(*sets)]

    assert [a == b for a, b in zip(before, after, strict=True)] == [False, True, True]
