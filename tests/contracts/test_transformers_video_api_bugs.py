"""Rough edges of transformers' video API, PEERS.md 5a (a number) and HOUSE.md 8.2 (H and a number).

MV is modeling_sam2_video.py of transformers 5.23.0, PV its processing_sam2_video.py.
"""

import subprocess
import sys

import numpy as np
import pytest
import torch

from sam2_hf import Sam2VideoInferenceSession, SessionOptions, VideoError
from sam2_hf.model.outputs import FrameFeatures
from sam2_hf.video.frame_encoder import FeatureCache
from tests.video.transformers_usage import SIZE, add_click, clip, memories_of, open_clip

WITHOUT_TORCHVISION = """
import sys
sys.modules["torchvision"] = sys.modules["torchcodec"] = None
import numpy as np
from sam2_hf import Sam2ImageProcessor, Sam2VideoModel, Sam2VideoProcessor
processor = Sam2VideoProcessor(Sam2ImageProcessor(size={"height": 64, "width": 64}))
session = processor.init_video_session(np.zeros((3, 20, 30, 3), np.uint8))
processor.video_processor(np.zeros((3, 20, 30, 3), np.uint8))
print(session.num_frames)
"""


def test_a_clip_is_tracked_alike_streamed_and_as_a_whole(tiny_video_model, video_processor):
    """5a-22: pointer times are divided by 15 in a stream, by less in a short clip: MV:2357."""
    whole, stream = open_clip(video_processor, 5), video_processor.init_video_session()
    add_click(video_processor, whole, 0, 1)
    add_click(video_processor, stream, 0, 1, original_size=SIZE)

    for frame in range(5):
        pixels = whole.get_frame(frame)
        expected = tiny_video_model(whole, frame_idx=frame).pred_masks
        found = tiny_video_model(stream, frame=pixels).pred_masks
        assert torch.equal(found, expected), frame


def test_two_videos_in_one_session_are_refused(video_processor):
    """5a-23: the second one is dropped without a word: PV:550."""
    with pytest.raises(VideoError, match="2 videos where one is expected"):
        video_processor.init_video_session([clip(2), clip(3)])


def test_a_session_starts_before_the_video_is_read(video_processor):
    """5a-24: every frame is prepared and kept first, 12.6 MB each: PV:548."""
    read = []

    def pictures():
        for number, frame in enumerate(clip(8)):
            read.append(number)
            yield frame

    video_processor.init_video_session(pictures())

    assert read == [0]


def test_sessions_need_neither_torchvision_nor_torchcodec():
    """5a-25: no processor without the one, no video file without the other."""
    command = [sys.executable, "-c", WITHOUT_TORCHVISION]

    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert done.stdout == "3\n", done.stderr


def test_an_object_can_be_removed(tiny_video_model, video_processor):
    """5a-26: there is no such method."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, [1, 2])
    tiny_video_model(session, frame_idx=0)

    session.remove(1)

    assert tiny_video_model(session, frame_idx=1).object_ids == [2]
    assert session.obj_id_to_idx(2) == 0


def test_prompts_of_a_frame_can_be_cleared(tiny_video_model, video_processor):
    """5a-26: there is no such method."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, 1)
    add_click(video_processor, session, 5, 1)
    tiny_video_model(session, frame_idx=0)

    session.clear(5, 1)
    tiny_video_model(session, frame_idx=1)

    assert set(memories_of(session, 1).prompted) == {0}


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("fill_hole_area", 4),
        ("non_overlap_masks_for_mem_enc", True),
        ("memory_temporal_stride_for_eval", 2),
        ("add_all_frames_to_correct_as_cond", False),
    ],
)
def test_what_the_original_can_be_told_is_an_option_here(video_processor, option, value):
    """5a-26: transformers has none of these; what each does is tested with the session."""
    session = open_clip(video_processor, **{option: value})

    assert getattr(session.options, option) == value != getattr(SessionOptions(), option)


@pytest.mark.parametrize("kind", ["points", "masks"])
def test_adding_inputs_returns_the_session(video_processor, kind):
    """5a-27, H12: annotated and documented to, but None comes back: PV:614."""
    session = open_clip(video_processor)
    given = {
        "points": {"input_points": [[[[30, 20]]]], "input_labels": [[[1]]]},
        "masks": {"input_masks": np.ones(SIZE, bool)},
    }[kind]

    assert video_processor.add_inputs_to_inference_session(session, 0, 1, **given) is session


def test_a_stream_may_begin_before_anything_is_prompted(tiny_video_model, video_processor):
    """5a-27: ValueError, no objects are provided: MV:1805."""
    stream = video_processor.init_video_session()
    pixels = open_clip(video_processor).get_frame(0)

    before = tiny_video_model(stream, frame=pixels)
    add_click(video_processor, stream, 1, 1, original_size=SIZE)
    after = tiny_video_model(stream, frame=pixels)

    assert (before.object_ids, before.frame_idx) == ([], 0)
    assert (after.object_ids, after.frame_idx) == ([1], 1)


def test_a_frame_without_any_object_has_an_empty_answer(tiny_video_model, video_processor):
    """5a-27: IndexError: MV:1896."""
    output = tiny_video_model(open_clip(video_processor), frame_idx=3)

    assert output.object_ids == []
    assert output.pred_masks.shape == (0, 1, 16, 16)
    assert output.object_score_logits.shape == output.iou_scores.shape == (0, 1)


@pytest.mark.parametrize("as_tensor", [False, True])
def test_masks_of_several_objects_may_be_one_array(tiny_video_model, video_processor, as_tensor):
    """5a-27: the number of masks is said not to match: PV:770."""
    session, masks = open_clip(video_processor), np.zeros((2, *SIZE), bool)
    masks[0, :20], masks[1, 30:] = True, True
    given = torch.from_numpy(masks) if as_tensor else masks

    video_processor.add_inputs_to_inference_session(session, 0, [1, 2], input_masks=given)
    first, second = tiny_video_model(session, frame_idx=0).pred_masks[:, 0]

    assert [bool((first[row] > 0).all()) for row in (0, -1)] == [True, False]
    assert [bool((second[row] > 0).all()) for row in (0, -1)] == [False, True]


@pytest.mark.parametrize(("inside", "outside"), [(3.0, -5.0), (0.9, 0.1)])
@pytest.mark.parametrize("make", [np.asarray, torch.from_numpy], ids=["array", "tensor"])
def test_an_array_of_logits_or_probabilities_is_not_the_whole_frame(
    video_processor, make, inside, outside
):
    """Arrays become booleans, so that all but 0 is the object: PV:773. Tensors are compared."""
    mask = np.full(SIZE, outside, np.float32)
    mask[:24] = inside
    session = open_clip(video_processor)

    video_processor.add_inputs_to_inference_session(session, 0, 1, input_masks=make(mask))

    found = session.prompts_of(0, 1).mask_hw
    assert found[:31].all()
    assert not found[33:].any()


def test_the_cache_forgets_what_was_used_longest_ago_going_backward_too():
    """5a-27, H10: it drops the smallest frame number, called the oldest: MV:75."""
    cache, encoded = FeatureCache(2), []

    def encode():
        encoded.append(1)
        return FrameFeatures(*[torch.zeros(1, 1, 1, 1)] * 3)

    for frame in (9, 8, 7, 8):
        cache.get(frame, encode)

    assert len(encoded) == 3  # 8 was still there


def test_the_video_processor_needs_no_size_of_padding(video_processor):
    """5a-27: `pad_size` has no meaning here, `reshaped_input_sizes` vanished from the inputs."""
    logits = torch.full((1, 1, 16, 16), 5.0)

    (masks,) = video_processor.video_processor.post_process_masks([logits], [SIZE])

    assert masks.shape == (1, 1, *SIZE)
    assert masks.all()


def test_a_click_and_a_box_of_one_object_work_together(tiny_video_model, video_processor):
    """H8: UnboundLocalError: MV:2033."""
    session = open_clip(video_processor)

    add_click(video_processor, session, 0, 1, input_boxes=[[[10, 12, 30, 30]]])

    assert tiny_video_model(session, frame_idx=0).pred_masks.shape == (1, 1, 16, 16)


def test_a_limit_is_the_number_of_frames(tiny_video_model):
    """H13: one more comes, which the method of transformers' name keeps to: MV:2851."""
    session = Sam2VideoInferenceSession.open(clip(), tiny_video_model)
    session.click(0, 1, (30, 20))

    ours = [result.frame for result in session.propagate(limit=1)]
    theirs = tiny_video_model.propagate_in_video_iterator(session, max_frame_num_to_track=1)

    assert ours == [0]
    assert [output.frame_idx for output in theirs] == [0, 1]


def test_a_frame_after_deleted_ones_replaces_none_of_those_that_are_left():
    """The next number is the count of frames that are kept: MV:311."""
    session = Sam2VideoInferenceSession()
    for level in range(4):
        session.add_new_frame(torch.full((3, 64, 64), float(level)))
    del session.processed_frames[0], session.processed_frames[1]

    number = session.add_new_frame(torch.full((3, 64, 64), 9.0))

    assert (number, list(session.processed_frames)) == (4, [2, 3, 4])
    assert session.get_frame(2).unique().tolist() == [2.0]


def test_a_number_that_comes_again_is_segmented_on_its_new_picture(
    tiny_video_model, video_processor
):
    """The features of the earlier picture are still in the cache and taken: MV:1943."""
    pixels = [open_clip(video_processor).get_frame(frame) for frame in (0, 7)]
    answers = []
    for first in pixels:
        stream = video_processor.init_video_session()
        add_click(video_processor, stream, 0, 1, original_size=SIZE)
        tiny_video_model(stream, frame=pixels[0], frame_idx=0)
        tiny_video_model(stream, frame=first, frame_idx=1)
        answers.append(tiny_video_model(stream, frame=pixels[1], frame_idx=1).pred_masks)

    assert torch.equal(*answers)


def test_deleted_frames_do_not_shorten_the_video(tiny_video_model, video_processor):
    """The last frames are not visited, since the count of what is kept is its length: MV:2851."""
    session = open_clip(video_processor)
    add_click(video_processor, session, 0, 1)
    tiny_video_model(session, frame_idx=0)

    del session.processed_frames[0]
    outputs = tiny_video_model.propagate_in_video_iterator(session)

    assert [output.frame_idx for output in outputs] == list(range(8))
