"""Videos are told apart by a few frames, whatever they are read from."""

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import Sam2VideoInferenceSession, SessionError
from sam2_hf.frames.open import open_frames
from sam2_hf.frames.streams import LiveFrames
from sam2_hf.video.storage.checkpoint_files import read_session, write_session
from sam2_hf.video.storage.video_fingerprint import require_same_video, video_fingerprint
from tests.video.transformers_usage import SIZE, clip


def frames_of(video):
    return open_frames(video, image_size=64)


def test_frames_from_the_first_to_the_last_are_looked_at():
    assert set(video_fingerprint(frames_of(clip(33)))) == {0, 4, 8, 12, 16, 20, 24, 28, 32}
    assert set(video_fingerprint(frames_of(clip(2)))) == {0, 1}
    assert set(video_fingerprint(frames_of(clip(1)))) == {0}
    assert video_fingerprint(LiveFrames()) == {}


def test_the_same_video_from_elsewhere_and_slightly_other_colors_is_the_same(tmp_path):
    for number, picture in enumerate(clip(5)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    known = video_fingerprint(frames_of(tmp_path))

    require_same_video(frames_of(list(clip(5))), known)
    require_same_video(frames_of(clip(5) + 2), known)


@pytest.mark.parametrize("frame", [0, 2, 4])
def test_one_changed_thing_on_a_frame_makes_another_video(frame):
    video = clip(5)
    known = video_fingerprint(frames_of(video.copy()))
    video[frame, 40:46, 70:76] = 255

    with pytest.raises(SessionError, match=f"frame {frame} of the video is not that"):
        require_same_video(frames_of(video), known)


def test_a_frame_that_cannot_be_read_any_more_is_named(tmp_path):
    for number, picture in enumerate(clip(5)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    known = video_fingerprint(frames_of(tmp_path))
    (tmp_path / "4.png").write_bytes(b"nothing")

    with pytest.raises(SessionError, match=r"frame 4 cannot be compared .*4\.png"):
        require_same_video(frames_of(tmp_path), known)


def test_a_frame_that_could_not_be_read_when_saving_is_left_out(tmp_path):
    for number, picture in enumerate(clip(5)):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    (tmp_path / "4.png").write_bytes(b"nothing")

    assert set(video_fingerprint(frames_of(tmp_path))) == {0, 1, 2, 3}


def save_tracked(video, model, folder):
    with Sam2VideoInferenceSession.open(video, model) as session:
        session.click(0, 1, (30, 20))
        list(session.propagate(limit=3))
        session.save(folder)


@pytest.mark.parametrize("as_iterator", [False, True])
def test_a_session_is_not_loaded_on_another_video_of_that_size(
    tiny_video_model, tmp_path, as_iterator
):
    opened = (lambda video: iter(video)) if as_iterator else (lambda video: video)
    save_tracked(opened(clip(5)), tiny_video_model, tmp_path)

    Sam2VideoInferenceSession.load(tmp_path, opened(clip(5)), tiny_video_model).close()
    with pytest.raises(SessionError, match="is not that of the saved session"):
        Sam2VideoInferenceSession.load(tmp_path, opened(255 - clip(5)), tiny_video_model)


def test_a_save_of_a_version_without_fingerprints_loads(tiny_video_model, tmp_path):
    save_tracked(clip(5), tiny_video_model, tmp_path)
    saved = read_session(tmp_path, ram_budget=1 << 20)
    for name in ("video/frames", "video/colors"):
        del saved.tensors[name]
    write_session(tmp_path, saved)

    with Sam2VideoInferenceSession.load(tmp_path, 255 - clip(5), tiny_video_model) as loaded:
        assert loaded.masklet(1).frames == [0, 1, 2]


def test_saving_again_reads_the_video_once(tiny_video_model, tmp_path, monkeypatch):
    with Sam2VideoInferenceSession.open(clip(5), tiny_video_model) as session:
        session.click(0, 1, (30, 20))
        session.save(tmp_path)
        monkeypatch.setattr(session.frames, "pixel_values", None)

        session.save(tmp_path)


def test_frames_that_are_replaced_count_as_they_are_now(tiny_video_model, tmp_path):
    video = torch.zeros(3, 3, 64, 64)
    session = Sam2VideoInferenceSession(video.clone(), *SIZE)
    session.use_model(tiny_video_model)
    session.save(tmp_path / "one")
    session.processed_frames[2] = torch.ones(3, 64, 64)
    session.save(tmp_path / "two")

    saved = read_session(tmp_path / "two", ram_budget=1 << 20)
    colors = saved.tensors["video/colors"].numpy()

    assert not np.allclose(colors[2], colors[1])
