"""What transformers' session shows of its inside."""

import pytest
import torch

from sam2_hf import SessionError
from sam2_hf.video.frames import open_frames
from sam2_hf.video.live_frames import LiveFrames
from sam2_hf.video.prepared_frames import PreparedFrames
from sam2_hf.video.transformers_names import Elsewhere, ProcessedFrames, as_dtype
from tests.video.transformers_usage import clip

CPU = torch.device("cpu")


class Session:
    gone = Elsewhere("use session.here.")


def test_a_name_that_is_elsewhere_says_where():
    with pytest.raises(AttributeError, match=r"no gone: use session\.here"):
        Session().gone  # noqa: B018
    assert not hasattr(Session(), "gone")


def test_processed_frames_are_read_when_asked_for():
    frames = ProcessedFrames(PreparedFrames(torch.ones(4, 3, 8, 8)), CPU, torch.bfloat16)

    assert (len(frames), list(frames)) == (4, [0, 1, 2, 3])
    assert frames[3].dtype == torch.bfloat16
    assert 4 not in frames


def test_processed_frames_of_a_stream_are_those_it_keeps():
    stream = LiveFrames(window=2)
    for _ in range(5):
        stream.append_pixel_values(torch.zeros(3, 8, 8))

    assert list(ProcessedFrames(stream, CPU, torch.float32)) == [3, 4]


def test_nobody_knows_how_many_frames_an_iterator_gives():
    frames = open_frames(iter(clip(3)), image_size=8)

    with pytest.raises(SessionError, match="how many frames"):
        len(ProcessedFrames(frames, CPU, torch.float32))


@pytest.mark.parametrize("dtype", ["bfloat16", torch.bfloat16])
def test_a_dtype_is_a_name_or_a_dtype(dtype):
    assert as_dtype(dtype) == torch.bfloat16


@pytest.mark.parametrize("dtype", ["int8", torch.int8, "float31"])
def test_what_is_no_float_type_is_refused(dtype):
    with pytest.raises(SessionError, match="cannot be used"):
        as_dtype(dtype)
