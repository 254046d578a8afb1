"""Save, load, go on: equal bits, and a clear refusal where something else is given."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_cases import case, seeded_video_model
from safetensors.torch import load_file
from seeded_inputs import clip

from sam2_hf.errors import FrameError, SessionError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

GO_ON = Path(__file__).with_name("go_on_from_save.py")


@pytest.fixture(scope="module")
def model():
    return seeded_video_model(case("micro"))


def small_clip(count):
    return list(clip(count, 135, 240, 3))


def open_with_two_objects(video, model, **options):
    session = Sam2VideoInferenceSession.open(video, model, **options)
    session.click(0, 1, (50, 75))
    session.box(2, 2, (75, 0, 125, 100))
    return session


def assert_same(results, others):
    results, others = list(results), list(others)
    assert [r.frame for r in results] == [r.frame for r in others]
    assert results
    for one, other in zip(results, others, strict=True):
        assert one.object_ids == other.object_ids
        assert torch.equal(one.logits_bhw, other.logits_bhw), one.frame
        assert torch.equal(one.iou_b, other.iou_b)


def test_a_new_process_goes_on_with_equal_bits(tmp_path, model):
    whole = list(open_with_two_objects(small_clip(12), model).propagate())
    session = open_with_two_objects(small_clip(12), model)
    list(session.propagate(limit=8))
    session.save(tmp_path / "save")

    out = tmp_path / "rest.safetensors"
    # as many threads: the order in which they add up decides on the last bits
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    command = [sys.executable, GO_ON, tmp_path / "save", "8", out]
    subprocess.run(command, check=True, env=threads)

    rest = load_file(out)
    assert sorted(map(int, rest)) == list(range(8, 12))
    assert all(torch.equal(rest[str(r.frame)], r.logits_bhw) for r in whole[8:])


@pytest.mark.parametrize(
    ("options", "num_frames"),
    [({}, 11), ({"keep": "window", "window": 16}, 18), ({"ram_budget": 0}, 11)],
)
def test_prompts_memories_masks_and_corrections_come_back(tmp_path, model, options, num_frames):
    session = open_with_two_objects(small_clip(num_frames), model, **options)
    list(session.propagate(limit=9))
    session.click(5, 1, (25, 30), positive=False)
    session.preview(5)  # answered, not remembered yet
    session.mask(7, 3, np.ones((135, 240), dtype=bool))  # neither
    session.save(tmp_path)

    loaded = Sam2VideoInferenceSession.load(tmp_path, small_clip(num_frames), model)

    assert loaded.object_ids == session.object_ids
    assert loaded.options == session.options
    assert loaded.masklet(1).frames == session.masklet(1).frames == list(range(9))
    assert np.array_equal(loaded.masklet(2).mask(4), session.masklet(2).mask(4))
    assert loaded.masklet(2).iou(4) == session.masklet(2).iou(4)
    assert_same([loaded.preview(5)], [session.preview(5)])
    assert_same(loaded.propagate(start=4), session.propagate(start=4))


def test_a_session_can_be_saved_again_and_again_over_the_same_save(tmp_path, model):
    session = open_with_two_objects(small_clip(8), model, ram_budget=0)
    whole = list(open_with_two_objects(small_clip(8), model).propagate())
    for frame in range(8):
        if frame:
            session = Sam2VideoInferenceSession.load(tmp_path, small_clip(8), model)
        assert_same(session.propagate(start=frame, limit=1), whole[frame : frame + 1])
        session.save(tmp_path)
        session.close()


def test_a_stream_goes_on_where_it_was(tmp_path, model):
    frames = small_clip(6)
    stream = Sam2VideoInferenceSession.open(None, model)
    stream.step(frames[0])
    stream.click(0, 1, (50, 75))
    stream.step(frames[1])
    stream.save(tmp_path)

    loaded = Sam2VideoInferenceSession.load(tmp_path, None, model)

    assert_same(map(loaded.step, frames[2:]), map(stream.step, frames[2:]))
    with pytest.raises(FrameError, match="frame 1"):
        loaded.click(1, 1, (50, 75))


def test_another_video_is_refused(tmp_path, model):
    open_with_two_objects(small_clip(5), model).save(tmp_path)

    with pytest.raises(SessionError, match="5 frames"):
        Sam2VideoInferenceSession.load(tmp_path, small_clip(6), model)
    with pytest.raises(SessionError, match="240"):
        Sam2VideoInferenceSession.load(tmp_path, list(clip(5, 100, 240, 3)), model)
    with pytest.raises(SessionError, match="stream"):
        Sam2VideoInferenceSession.load(tmp_path, None, model)


def test_another_model_is_refused(tmp_path, model):
    open_with_two_objects(small_clip(5), model).save(tmp_path)

    with pytest.raises(SessionError, match="another model"):
        Sam2VideoInferenceSession.load(tmp_path, small_clip(5), seeded_video_model(case("micro20")))


def test_a_folder_without_a_save_is_refused(tmp_path, model):
    with pytest.raises(SessionError, match="save"):
        Sam2VideoInferenceSession.load(tmp_path / "nothing", small_clip(5), model)
