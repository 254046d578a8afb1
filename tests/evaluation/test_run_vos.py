"""`python -m evaluation.run_vos`, from data to table."""

import json
import shutil
import zipfile

import pytest

from evaluation import run_vos
from evaluation.run_vos import main
from tests.evaluation.programs import all_files, kill_after, run_in_two_processes
from tests.small_sets import boxes, write_davis, write_labels, write_late, write_lvos, write_sav


@pytest.fixture
def davis(tmp_path):
    return write_davis(tmp_path / "davis", frames=6)


@pytest.fixture
def run(tiny_checkpoint, tmp_path):
    """Run on a set; results go to `out`."""

    def call(root, *more, dataset="davis17-val", out="out"):
        model = ["--model", str(tiny_checkpoint), "--out", str(tmp_path / out)]
        return main([*model, "--dataset", dataset, "--root", str(root), *more])

    return call


def given(model, root, dataset="davis17-val"):
    return "--model", model, "--dataset", dataset, "--root", root


def scores(tmp_path, out="out"):
    return json.loads((tmp_path / out / "scores.json").read_text())


def test_masks_scores_and_a_table_are_written(run, davis, tmp_path, capsys):
    assert run(davis) == 0

    assert len(list((tmp_path / "out" / "masks" / "dog").glob("*.png"))) == 6
    found = scores(tmp_path)
    assert set(found["videos"]) == {"cat", "dog"}
    assert found["summary"]["num_objects"] == 4
    assert found["videos"]["cat"]["1"]["frames"] == 4
    assert found["environment"]["device"] == "cpu"
    table = capsys.readouterr().out
    assert f"| **sam2-tiny** | **{found['summary']['j_and_f']:.1f}** |" in table
    assert "| sam2.1-hiera-tiny, published | 89.4 |" in table


def test_a_run_that_was_stopped_goes_on_and_ends_the_same(
    run, davis, tmp_path, monkeypatch, capsys
):
    run(davis, out="whole")
    calls = []

    def stopping(video, *rest):
        for result in run_vos_track(video, *rest):
            calls.append(video.name)
            if len(calls) == 9:
                raise KeyboardInterrupt
            yield result

    run_vos_track = run_vos.track_video
    monkeypatch.setattr(run_vos, "track_video", stopping)

    assert run(davis) == 130
    assert "Run it again to continue" in capsys.readouterr().err
    assert run(davis) == 0

    assert calls[:9] == ["cat"] * 6 + ["dog"] * 3
    assert calls[9:] == ["dog"] * 6
    assert all_files(tmp_path / "out") == all_files(tmp_path / "whole")


def test_two_processes_write_what_one_does(run, davis, tmp_path, tiny_checkpoint):
    run(davis, out="one")

    run_in_two_processes(
        "evaluation.run_vos", *given(tiny_checkpoint, davis), "--out", tmp_path / "two"
    )

    one, two = all_files(tmp_path / "one"), all_files(tmp_path / "two")
    assert one == two


def test_a_run_that_is_killed_goes_on_and_ends_the_same(run, tmp_path, tiny_checkpoint):
    davis = write_davis(tmp_path / "davis", frames=20)
    run(davis, out="whole")

    kill_after(
        27,  # of 40 masks: in the second video
        "*.png",
        tmp_path / "out",
        "evaluation.run_vos",
        *given(tiny_checkpoint, davis),
        "--out",
        tmp_path / "out",
    )
    assert not (tmp_path / "out" / "scores.json").exists()
    assert run(davis) == 0

    assert all_files(tmp_path / "out") == all_files(tmp_path / "whole")


def test_a_damaged_file_is_made_again_and_nothing_else(run, davis, tmp_path):
    run(davis)
    before = all_files(tmp_path / "out")
    untouched = tmp_path / "out" / "masks" / "dog" / "00000.png"
    stamp = untouched.stat().st_mtime_ns
    (tmp_path / "out" / "masks" / "cat" / "00003.png").write_bytes(b"\x89PNG cut")

    assert run(davis) == 0

    assert all_files(tmp_path / "out") == before
    assert untouched.stat().st_mtime_ns == stamp


def test_sets_with_masks_per_object_and_with_late_objects_run_too(run, tmp_path):
    assert run(write_sav(tmp_path / "sav", 13), dataset="sav-val", out="sav_out") == 0
    lvos = write_lvos(tmp_path / "lvos", ("owl", "ray"), unseen=("ray",))
    assert run(lvos, dataset="lvos-v2-val", out="lvos_out") == 0

    assert set(scores(tmp_path, "sav_out")["videos"]["sav_1"]) == {"0", "1"}
    found = scores(tmp_path, "lvos_out")
    assert set(found["videos"]["owl"]) == {"1", "2"}
    numbers = [found["halves"][half][name] for half in ("seen", "unseen") for name in ("j", "f")]
    assert found["halves"]["mean"] == pytest.approx(sum(numbers) / 4)
    assert found["halves"]["seen"]["num_objects"] == 2
    assert (
        "| sam2-hiera-large, published | 79.8 | 80.0 | 86.6 | 71.6 | 81.1 |"
        in (tmp_path / "lvos_out" / "scores.md").read_text()
    )


def test_where_masks_are_not_public_an_archive_is_packed(run, tmp_path, capsys):
    root = write_late(tmp_path / "mose", first=0)
    for path in (root / "valid" / "Annotations" / "owl").glob("0000[1-9].png"):
        path.unlink()

    assert run(root, dataset="mose-val") == 0

    archive = tmp_path / "out" / "submission.zip"
    assert zipfile.ZipFile(archive).namelist()[-1] == "owl/00008.png"
    assert str(archive) in capsys.readouterr().out
    assert not (tmp_path / "out" / "scores.json").exists()


def test_other_prompts_and_single_videos_can_be_chosen(run, davis, tmp_path):
    assert run(davis, "--prompt", "3-click", "--videos", "dog") == 0

    assert (scores(tmp_path)["prompt"], list(scores(tmp_path)["videos"])) == ("3-click", ["dog"])


def test_a_folder_with_results_of_another_run_is_refused(run, davis, tmp_path, capsys):
    run(davis)

    assert run(davis, "--prompt", "box") == 2
    assert "its prompt is mask, this one's box" in capsys.readouterr().err
    assert scores(tmp_path)["prompt"] == "mask"


def test_other_data_of_the_same_name_are_not_mixed_up(run, davis, tmp_path, capsys):
    run(davis)
    write_labels(davis / "Annotations" / "480p" / "cat" / "00003.png", boxes(3, (2, 1)))
    path = davis / "Annotations" / "480p" / "cat" / "00003.png"
    path.write_bytes(path.read_bytes() + b" ")

    assert run(davis) == 2
    assert "its data is 2 videos" in capsys.readouterr().err


def test_scores_of_other_processes_that_are_missing_are_an_error(run, davis, monkeypatch, capsys):
    monkeypatch.setattr(run_vos, "share_of", lambda work, process, processes: [0])

    assert run(davis) == 2
    assert "dog.json" in capsys.readouterr().err


def test_bfloat16_is_told_and_kept_apart(run, davis, tmp_path, capsys):
    assert run(davis, "--precision", "bf16") == 0
    assert "bfloat16 by autocast" in (tmp_path / "out" / "scores.md").read_text()

    assert run(davis) == 2
    assert "its environment.dtype is bfloat16 by autocast" in capsys.readouterr().err


def test_results_of_other_session_options_are_not_mixed_in(run, davis, tmp_path, capsys):
    """Scores of a folder may come from a version that evaluated under other options."""
    run(davis)
    path = tmp_path / "out" / "run.json"
    settings = json.loads(path.read_text())
    assert settings["options"]["binarize_mask_from_pts_for_mem_enc"] is False
    del settings["options"]
    path.write_text(json.dumps(settings))

    assert run(davis) == 2
    assert "its options is None" in capsys.readouterr().err


def test_damaged_scores_of_a_video_are_made_again(run, davis, tmp_path):
    run(davis)
    before = all_files(tmp_path / "out")
    (tmp_path / "out" / "videos" / "cat.json").write_text("[]")

    assert run(davis) == 0
    assert all_files(tmp_path / "out") == before


def test_a_folder_whose_settings_cannot_be_read_is_refused(run, davis, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "run.json").write_text("{cut")

    assert run(davis) == 2
    assert "run.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        (lambda root: shutil.rmtree(root / "Annotations"), "Annotations"),
        (lambda root: (root / "JPEGImages/480p/cat/00002.jpg").write_bytes(b"no"), "00002"),
    ],
)
def test_broken_data_end_with_one_line_that_names_them(run, davis, capsys, break_it, words):
    break_it(davis)

    assert run(davis) == 2
    assert words in capsys.readouterr().err


def test_a_memory_policy_and_other_options_of_the_session_are_told_with_the_scores(
    run, davis, tmp_path, capsys
):
    more = ("--videos", "dog", "--memory-policy", "score")
    options = ("--session-option", "approximate=true", "--session-option", "every_kth_memory=2")
    assert run(davis, *more, *options) == 0

    told = scores(tmp_path)["options"]
    assert (told["memory_policy"], told["every_kth_memory"]) == ("score", 2)
    assert run(davis, "--videos", "dog") == 2
    assert "options.memory_policy" in capsys.readouterr().err
    assert run(davis, "--memory-policy", "none", out="other") == 2
    assert "memory_policy is 'none'" in capsys.readouterr().err
