"""Ray's actors: a pool that survives a kill, and what is said without Ray."""

import builtins
import random
from contextlib import nullcontext
from dataclasses import asdict

import numpy as np
import pytest

from sam2_hf.engine import ray_run
from sam2_hf.engine.ray_run import RayActor, RayWorkers, work_on_ray
from sam2_hf.engine.set_folder import Failure, SetFolder
from sam2_hf.engine.settings import LabelSettings
from sam2_hf.engine.video_queue import QueuedVideo, list_videos
from sam2_hf.engine.work_items import open_items
from sam2_hf.errors import MissingPackageError
from tests.engine.clips import SECONDS, content
from tests.engine.conftest import options
from tests.engine.killing import kill_a_worker, num_done, start, wait_until


def test_ray_workers_of_which_one_is_killed_make_the_same_set(
    clips, tiny_folder, whole_set, tmp_path
):
    chance, out = random.Random(0), tmp_path / "set"
    arguments = [clips.folder, *options(clips, tiny_folder), "--out", out, "--workers", 2]
    command = start(*arguments)

    wait_until(lambda: num_done(out) >= chance.randint(2, 12))
    kill_a_worker(out)

    assert command.wait(SECONDS) == 0
    assert content(out) == content(whole_set)
    assert not list((out / "claims").glob("[!.]*"))


def test_without_ray_the_error_says_what_to_install(clips, monkeypatch, tmp_path):
    folder = SetFolder(tmp_path / "set")
    folder.begin(LabelSettings("tiny"), list_videos([str(clips.folder)]))
    real = builtins.__import__

    def refuse(name, *rest, **named):
        if name == "ray":
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(MissingPackageError, match="--workers 1 needs none"):
        work_on_ray(
            folder,
            open_items,
            RayWorkers(2, None, 60),
            check=lambda: None,
            on_outcome=lambda outcome: None,
        )


class NoPool:
    """A stand-in for Ray: a pool is started, and does everything."""

    def __init__(self, folder):
        self.folder, self.started, self.data = folder, [], self

    def from_items(self, rows, override_num_blocks):
        self.started.append([row["video_id"] for row in rows])
        return self

    def map_batches(self, actor, **pool):
        return self

    def iter_rows(self):
        for video_id in self.started[-1]:
            self.folder.fail(Failure(video_id, "", "done"))
            yield {"key": video_id, "status": "failed", "text": ""}


def test_a_pool_is_started_only_for_what_no_other_command_has(monkeypatch, tmp_path):
    folder, other = (SetFolder(tmp_path / "set") for _ in range(2))
    videos = [QueuedVideo.at(f"/v/{name}.mp4", f"{name}.mp4") for name in "ab"]
    folder.begin(LabelSettings("tiny"), videos)
    claim, ray = other.claims.take(videos[0].id), NoPool(folder)
    monkeypatch.setattr(ray_run, "_import_ray", lambda: ray)
    monkeypatch.setattr(ray_run, "_connected", lambda *_: nullcontext())
    monkeypatch.setattr(ray_run, "_pool", lambda *_: {})
    waits, checks = [], []

    def wait(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            other.claims.release(claim)

    monkeypatch.setattr("sam2_hf.engine.set_run.time.sleep", wait)
    work_on_ray(
        folder,
        open_items,
        RayWorkers(2, None, 60),
        check=lambda: checks.append(1),
        on_outcome=lambda outcome: None,
    )

    assert len(checks) == 2 + len(waits)  # waiting can be interrupted, too
    assert ray.started == [[videos[1].id], [videos[0].id]]
    assert len(waits) == 3


def test_an_actor_without_a_model_says_so_instead_of_dying(clips, tmp_path):
    folder = SetFolder(tmp_path / "set")
    folder.begin(LabelSettings("./no-model"), list_videos([str(clips.folder / "clip00")]))
    (item,) = open_items(folder)
    batch = {name: np.array([value]) for name, value in asdict(item).items()}

    answer = RayActor(str(folder.root), "cpu", 60)(batch)

    assert answer["status"] == ["stopped"]
    assert "no-model" in answer["text"][0]
