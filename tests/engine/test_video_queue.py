"""The queue: what a text means, ids that stay, and how videos are opened."""

import errno
import os
from pathlib import Path

import fsspec
import numpy as np
import pytest
from PIL import Image

from sam2_hf.atomic_write import fails_everywhere
from sam2_hf.data.rows import import_datasets
from sam2_hf.engine.video_queue import QueuedVideo, list_videos
from sam2_hf.errors import MissingPackageError, OutputError, PromptError, VideoError
from sam2_hf.frames.open import open_frames
from sam2_hf.interruption import StopRequestedError
from tests.engine.clips import write_clip


def names(*texts):
    return [video.name for video in list_videos(map(str, texts))]


@pytest.fixture
def folder(tmp_path):
    write_clip(tmp_path, 0)
    for name in ("b10.mp4", "b2.mp4", "note.txt", ".hidden.mp4"):
        (tmp_path / name).write_bytes(b"12345")
    return tmp_path


def test_a_folder_is_its_videos_and_its_folders_of_pictures(folder):
    assert names(folder) == ["b2.mp4", "b10.mp4", "clip00"]
    assert names(folder / "clip00") == ["clip00"]


def test_patterns_and_lists_keep_their_order_and_name_each_video_once(folder):
    assert names(folder / "b*.mp4", folder / "b2.mp4", folder / "clip00") == [
        "b2.mp4",
        "b10.mp4",
        "clip00",
    ]


def test_what_is_missing_fails_alone_but_a_pattern_must_match(folder):
    assert names(folder / "gone.mp4") == ["gone.mp4"]
    with pytest.raises(PromptError, match="nothing matches"):
        list_videos([str(folder / "x*.mp4")])
    with pytest.raises(PromptError, match="neither a video nor"):
        list_videos([str(folder / "empty")] if (folder / "empty").mkdir() is None else [])


def test_an_id_depends_on_the_address_alone(folder):
    (first,) = list_videos([str(folder / "b2.mp4")])
    again = next(video for video in list_videos([str(folder)]) if video.name == "b2.mp4")

    assert first == again
    assert first.id.startswith("b2-")
    assert first.num_bytes == 5
    other = QueuedVideo.at("/elsewhere/b2.mp4", "b2.mp4")
    assert other.id != first.id


def test_addresses_are_listed_and_copied_by_fsspec(tmp_path):
    memory = fsspec.filesystem("memory")
    source = write_clip(tmp_path, 1)
    for path in source.iterdir():
        memory.pipe(f"/bucket/clip01/{path.name}", path.read_bytes())
    memory.pipe("/bucket/films/a.mp4", b"123")

    assert names("memory://bucket/films", "memory://bucket/films/*.mp4") == ["a.mp4"]
    (video,) = list_videos(["memory://bucket/clip01"])
    with video.opened() as copied, open_frames(copied, image_size=64) as frames:
        assert frames.num_frames == 3
        kept = copied
    assert not (tmp_path / kept).exists()


def test_an_address_that_cannot_be_read_says_why():
    with pytest.raises(MissingPackageError, match="s3fs"):
        list_videos(["s3://bucket/a.mp4"])
    with pytest.raises(VideoError, match="nosuch"):
        list_videos(["nosuch://bucket/a.mp4"])
    video = QueuedVideo.at("memory://bucket/none.mp4", "none.mp4")
    with pytest.raises(VideoError, match="cannot be copied"), video.opened():
        pass


@pytest.fixture
def remote():
    """A video in memory."""
    fsspec.filesystem("memory").pipe("/bucket/remote.mp4", b"123")
    return QueuedVideo.at("memory://bucket/remote.mp4", "remote.mp4")


def test_a_request_to_stop_passes_through_a_copy(remote):
    def stop():
        raise StopRequestedError

    with pytest.raises(StopRequestedError), remote.opened(stop):
        pass


def test_a_full_temporary_folder_stops_a_run(remote, monkeypatch):
    def full(self, *arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(OutputError, match="No space left on device") as caught, remote.opened():
        pass

    assert fails_everywhere(caught.value)


def test_rows_of_a_table_are_videos(tmp_path):
    datasets = import_datasets()
    pictures = [Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (9, 90)]
    table = datasets.Dataset.from_dict(
        {"name": ["dusk", "dawn"], "images": [pictures, pictures[:1]]},
        features=datasets.Features(
            {"name": datasets.Value("string"), "images": datasets.List(datasets.Image())}
        ),
    )
    table.save_to_disk(str(tmp_path / "table"))

    videos = list_videos([str(tmp_path / "table")])

    assert [video.name for video in videos] == ["dusk", "dawn"]
    with videos[0].opened() as source, open_frames(source, image_size=64) as frames:
        assert frames.num_frames == 2
        assert frames.picture(1)[0, 0].tolist() == [90, 90, 90]
