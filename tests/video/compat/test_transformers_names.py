"""What transformers' session shows of its inside: frames as a mapping, ids as a list."""

import pytest
import torch

from sam2_hf import Sam2VideoInferenceSession, SessionError, SessionOptions
from sam2_hf.video.compat.transformers_names import WrittenThrough, as_dtype
from tests.video.transformers_usage import clip


def test_a_written_through_list_tells_of_every_change():
    told = []
    ids = WrittenThrough([1, 2], told.append)

    ids.append(3)
    ids.remove(1)
    ids += [4]
    ids[0] = 9
    del ids[1]
    ids.insert(0, 5)
    ids.pop()
    ids.clear()

    expected = [[1, 2, 3], [2, 3], [2, 3, 4], [9, 3, 4], [9, 4], [5, 9, 4], [5, 9], []]
    assert told == expected


def test_processed_frames_are_read_when_asked_for():
    session = Sam2VideoInferenceSession(torch.ones(4, 3, 8, 8), dtype="bfloat16")
    frames = session.processed_frames

    assert (len(frames), list(frames)) == (4, [0, 1, 2, 3])
    assert frames[3].dtype == torch.bfloat16
    assert 4 not in frames


def test_processed_frames_of_a_stream_are_those_it_keeps():
    stream = Sam2VideoInferenceSession(options=SessionOptions(window=16))
    for _ in range(20):
        stream.add_new_frame(torch.zeros(3, 8, 8))

    assert list(stream.processed_frames) == list(range(4, 20))


def test_nobody_knows_how_many_frames_an_iterator_gives(video_processor):
    session = video_processor.init_video_session(iter(clip(3)))

    with pytest.raises(SessionError, match="number of frames"):
        len(session.processed_frames)


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_dtype_is_a_name_or_a_dtype(dtype):
    assert as_dtype(dtype) == torch.bfloat16


@pytest.mark.parametrize("dtype", ["int8", torch.int8, "float31"])
def test_what_is_no_float_type_is_refused(dtype):
    with pytest.raises(SessionError, match="cannot be used"):
        as_dtype(dtype)
