"""Copies and pickles of a session: what they share, and that they go on with equal bits."""

import copy
import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import Sam2VideoInferenceSession, SessionError, VideoError
from tests.fakes import fake_session_on
from tests.video.transformers_usage import SIZE, add_click, clip, open_clip

KINDS = ("array", "folder", "prepared", "edited", "stream")


def through_pickle(session, model):
    """Pickle a session and give it its model again."""
    again = pickle.loads(pickle.dumps(session))
    again.use_model(model)
    return again


COPIES = {
    "deepcopy": lambda session, model: copy.deepcopy(session),
    "copy": lambda session, model: copy.copy(session),
    "pickle": through_pickle,
    "pickle of a copy": lambda session, model: through_pickle(copy.deepcopy(session), model),
}


@pytest.fixture
def open_kind(video_processor, tmp_path):
    """Open a session on the clip, given as any kind of video."""

    def session(kind):
        if kind == "stream":
            return video_processor.init_video_session()
        if kind == "prepared":
            whole = open_clip(video_processor)
            pixels = torch.stack([whole.get_frame(frame) for frame in range(8)])
            return Sam2VideoInferenceSession(pixels, *SIZE)
        if kind == "folder":
            for number, picture in enumerate(clip()):
                Image.fromarray(picture).save(tmp_path / f"{number}.png")
            return video_processor.init_video_session(tmp_path)
        found = open_clip(video_processor)
        if kind == "edited":
            del found.processed_frames[0]
            found.processed_frames[6] = found.processed_frames[7]
        return found

    return session


def advance(session, model, frames, video_processor):
    """Track some frames of the clip, or give them to a stream."""
    if session.num_frames is None:
        pixels = open_clip(video_processor)
        return [model(session, frame=pixels.get_frame(f), frame_idx=f).pred_masks for f in frames]
    return [model(session, frame_idx=frame).pred_masks for frame in frames]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("way", COPIES)
def test_a_copy_goes_on_with_equal_bits_and_leaves_the_original_alone(
    kind, way, open_kind, video_processor, tiny_video_model
):
    session, model = open_kind(kind), tiny_video_model
    add_click(video_processor, session, 1, [1, 2], original_size=SIZE)
    advance(session, model, range(1, 4), video_processor)

    twin = COPIES[way](session, model)
    twin_first = advance(twin, model, range(4, 8), video_processor)
    twin.remove(1)
    rest = advance(session, model, range(4, 8), video_processor)
    twin.close()

    assert all(map(torch.equal, twin_first, rest))
    assert session.obj_ids == [1, 2]
    assert session.masklet(1).frames == list(range(1, 8))
    assert session.masklet(1).mask(2).shape == SIZE


def test_a_deep_copy_shares_the_model_and_a_pickle_holds_none(video_processor, tiny_video_model):
    session = add_click(video_processor, open_clip(video_processor), 0, 1)
    tiny_video_model(session, frame_idx=0)

    twin, content = copy.deepcopy(session), pickle.dumps(session)

    assert twin._tracker.model is tiny_video_model
    assert len(content) < sum(weight.nbytes for weight in tiny_video_model.parameters())
    with pytest.raises(SessionError, match=r"session\.use_model\(model\)"):
        next(pickle.loads(content).propagate())


def test_an_unpickled_session_refuses_another_model(video_processor, tiny_video_model):
    session = add_click(video_processor, open_clip(video_processor), 0, 1)
    tiny_video_model(session, frame_idx=0)
    other = copy.deepcopy(tiny_video_model)
    with torch.no_grad():
        other.no_object_pointer.add_(1)

    with pytest.raises(SessionError, match="pickled with another model"):
        other(pickle.loads(pickle.dumps(session)), frame_idx=1)


def test_an_unpickled_session_refuses_another_video(open_kind, tiny_video_model, tmp_path):
    content = pickle.dumps(open_kind("folder"))
    Image.fromarray(255 - clip()[7]).save(tmp_path / "7.png")

    with pytest.raises(SessionError, match="frame 7 of the video is not that"):
        pickle.loads(content)


def test_undo_and_open_prompts_are_copied():
    session = fake_session_on()
    session.click(0, 1, (20, 20))
    session.click(3, 2, (30, 30))

    twin = copy.deepcopy(session)
    undone = twin.undo()

    assert (undone, twin.object_ids, session.object_ids) == (True, (1,), (1, 2))
    assert [result.frame for result in twin.propagate()] == list(range(8))


def test_what_is_in_spill_files_is_copied_to_files_of_its_own(tmp_path):
    session = fake_session_on(ram_budget=0, spill_folder=tmp_path)
    session.click(0, 1, (20, 20))
    list(session.propagate())

    twin = copy.deepcopy(session)
    session.close()

    assert twin.bytes_held().disk > 0
    assert len(list(twin.masklet(1))) == 8


def test_memories_that_were_made_in_inference_mode_are_copied(video_processor, tiny_video_model):
    session = add_click(video_processor, open_clip(video_processor), 0, 1)
    with torch.inference_mode():
        for frame in range(3):
            tiny_video_model(session, frame_idx=frame)

    twin = copy.deepcopy(session)

    found, expected = (tiny_video_model(one, frame_idx=3) for one in (twin, session))
    assert torch.equal(found.pred_masks, expected.pred_masks)


def test_a_changed_memory_of_a_copy_does_not_reach_the_original(video_processor, tiny_video_model):
    session = add_click(video_processor, open_clip(video_processor), 0, 1)
    for frame in range(3):
        tiny_video_model(session, frame_idx=frame)
    outputs = session.output_dict_per_obj[0]["non_cond_frame_outputs"]
    before = outputs[2]["maskmem_features"].clone()

    twin = copy.deepcopy(session)
    twin.output_dict_per_obj[0]["non_cond_frame_outputs"][2]["maskmem_features"].zero_()

    assert torch.equal(outputs[2]["maskmem_features"], before)


@pytest.mark.parametrize("act", [copy.deepcopy, pickle.dumps])
def test_an_iterator_is_copied_only_when_it_has_ended(act, video_processor):
    session = video_processor.init_video_session(iter(clip(3)))

    with pytest.raises(VideoError, match="before the iterator has ended"):
        act(session)
    session.frames.reaches(3)

    assert act(session)


def test_a_closed_session_cannot_be_copied(fake_session):
    fake_session.close()

    with pytest.raises(SessionError, match="this session is closed"):
        copy.deepcopy(fake_session)


def test_a_pickle_of_prepared_frames_holds_each_once(tiny_video_model):
    video = torch.zeros(40, 3, 64, 64)  # the fingerprint beside it takes 110 KB

    size = len(pickle.dumps(Sam2VideoInferenceSession(video, *SIZE)))

    assert size < 1.1 * video.nbytes


def test_pictures_of_an_unpickled_stream_stay_read_only(tiny_video_model):
    session = Sam2VideoInferenceSession.open(None, tiny_video_model)
    session.step(np.zeros((*SIZE, 3), np.uint8))

    assert not pickle.loads(pickle.dumps(session)).frames.picture(0).flags.writeable
