"""Claims: one worker for an item, whatever becomes of it."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from sam2_hf.engine import claims as claims_module
from sam2_hf.engine.claims import Claims, exit_without_progress
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.set_run import work_through

HOLD = """
import sys, time
from pathlib import Path
from sam2_hf.engine import claims as claims_module
from sam2_hf.engine.claims import Claims
assert Claims(Path(sys.argv[1])).take("clip") is not None
print("held", flush=True)
time.sleep(600)
"""


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def other_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_an_item_is_claimed_once_until_it_is_released(tmp_path):
    claims, others = Claims(tmp_path), Claims(tmp_path)

    with claims.hold("clip") as claim:
        assert claim.attempt == 1
        assert others.take("clip") is None
        assert others.take("other") is not None

    assert others.take("clip").attempt == 1


def test_of_many_that_claim_at_once_one_succeeds(tmp_path):
    taken, begin = [], threading.Barrier(8)

    def take():
        claims = Claims(tmp_path)
        begin.wait()
        for number in range(20):
            if claims.take(f"clip{number}") is not None:
                taken.append(number)

    threads = [threading.Thread(target=take) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(taken) == sorted(set(taken))  # two may both step back, and try again


def test_a_killed_process_loses_its_claim_at_once_and_its_attempt_counts(tmp_path, other_process):
    claims = Claims(tmp_path)
    assert claims.take("clip") is None
    assert claims.are_alive()

    os.kill(other_process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, other_process.pid, os.WEXITED | os.WNOWAIT)  # a zombie has ended, too

    assert not claims.are_alive()
    assert claims.take("clip").attempt == 2


def test_attempts_of_an_earlier_run_do_not_count(tmp_path, other_process):
    other_process.kill()
    other_process.wait()
    claims = Claims(tmp_path)

    claims.clear_ended()

    assert claims.take("clip").attempt == 1


def test_a_run_leaves_no_claim_of_a_worker_killed_after_its_last_word(tmp_path, other_process):
    """Its labels are written, so nobody claims the item again."""
    folder = SetFolder(tmp_path / "set")
    folder.claims = Claims(tmp_path)
    held = folder.claims.take("running")
    elsewhere = tmp_path / "slow.1"
    elsewhere.write_text("another machine\n1\n\n")
    other_process.kill()
    other_process.wait()

    work_through(folder, lambda folder: [], lambda items: ())

    assert folder.claims.is_taken("running")
    assert {*tmp_path.iterdir()} == {held.path, elsewhere}


def test_a_claim_of_another_machine_dies_when_its_time_stands_still(tmp_path):
    clock = Clock()
    claims = Claims(tmp_path, lease=10, clock=clock)
    path = tmp_path / "clip.1"
    path.write_text("another machine\n1\n\n")
    assert claims.take("clip") is None

    clock.now = 9
    os.utime(path, (5, 5))  # whatever its clock says, it has moved
    assert claims.take("clip") is None
    clock.now = 18
    assert claims.take("clip") is None
    clock.now = 19

    assert claims.take("clip").attempt == 2


def test_a_late_worker_leaves_the_claim_of_its_successor(tmp_path):
    claims = Claims(tmp_path, lease=0)
    late = claims.take("clip")
    successor = Claims(tmp_path, lease=0).take("clip")
    assert not claims.is_latest(late)

    claims.release(late)

    assert successor.path.exists()
    assert not late.path.exists()


def test_a_late_worker_leaves_the_claim_that_has_its_number_again(tmp_path):
    """Its successor is done, and what comes then counts anew."""
    claims, others = Claims(tmp_path, lease=0), Claims(tmp_path, lease=0)
    late = claims.take("clip")
    others.release(others.take("clip"))
    again = others.take("clip")
    assert again.path == late.path
    assert not claims.is_latest(late)

    claims.release(late)

    assert others.is_latest(again)
    others.release(again)
    assert not list(tmp_path.iterdir())


def test_a_claim_that_cannot_be_read_is_left_alone(tmp_path):
    (tmp_path / "clip.1").write_bytes(b"\xff")
    (tmp_path / "other.1").mkdir()

    Claims(tmp_path).clear_ended()

    assert len(list(tmp_path.iterdir())) == 2


def test_a_claim_taken_while_a_dead_one_is_removed_stays(tmp_path, other_process, monkeypatch):
    other_process.kill()
    other_process.wait()
    claims, others = Claims(tmp_path), Claims(tmp_path)
    ended, taken = claims_module._has_ended, []

    def has_ended(owner):
        if not taken:
            taken.append(None)  # the checks below come here, too
            others.clear_ended()
            taken[0] = others.take("clip")
        return ended(owner)

    monkeypatch.setattr(claims_module, "_has_ended", has_ended)
    claims.clear_ended()

    assert others.is_latest(taken[0])


def test_a_process_without_progress_ends(tmp_path):
    claim, left = Claims(tmp_path).take("clip"), threading.Event()

    exit_without_progress(claim, lease=0.01, leave=lambda code: left.set())

    assert left.wait(5)


def test_a_claim_that_was_released_is_no_longer_watched_when_its_path_is_of_another(tmp_path):
    claims, left = Claims(tmp_path), threading.Event()
    first = claims.take("clip")
    exit_without_progress(first, lease=0.1, leave=lambda code: left.set())
    claims.release(first)

    second = claims.take("clip")

    assert second.path == first.path
    assert not left.wait(0.4)


def test_a_clone_of_a_machine_does_not_know_which_processes_of_the_other_ended(
    tmp_path, other_process, monkeypatch
):
    other_process.kill()
    other_process.wait()
    (tmp_path / "boot_id").write_text("of the clone")
    monkeypatch.setattr(claims_module, "BOOT_ID", tmp_path / "boot_id")

    assert Claims(tmp_path).take("clip") is None


def test_progress_touches_the_file_a_few_times_within_the_lease(tmp_path):
    claim = Claims(tmp_path, lease=100).take("clip")
    os.utime(claim.path, (1, 1))

    claim.beat()
    assert claim.path.stat().st_mtime == 1  # not yet: files are slow on a cluster
    claim.touched -= 6
    claim.beat()

    assert claim.path.stat().st_mtime > 1
