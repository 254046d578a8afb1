"""One test for each way in which facebookresearch/sam2 @ 2b90b9f goes wrong on videos."""

import inspect

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import NoPromptError, SessionError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.model.outputs import ObjectMasks
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.policies.memory_policy import TrackingStep, recent_frames
from sam2_hf.video.tracking import track_step
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import FakeModel, center_of, fake_clip, fake_session_on
from tests.video.clip_files import write_clip


def paths(results, number=1):
    """Where an object was on each frame."""
    return {result.frame: center_of(result.masks[number]) for result in results}


def test_a_correction_on_a_tracked_frame_is_kept(fake_session):
    """The next propagation overwrites it: sam2_video_predictor.py:215; sam2#546."""
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())

    fake_session.click(4, 1, (24, 44))
    found = paths(fake_session.propagate())

    assert found[4][1] > 30
    assert found[7][1] > 30


def test_a_click_on_the_first_frame_after_propagation_changes_what_is_stored(fake_session):
    """It is answered, and then dropped: sam2_video_predictor.py:207-217."""
    fake_session.click(0, 1, (20, 20))
    list(fake_session.propagate())

    fake_session.click(0, 1, (20, 44))

    assert paths(fake_session.propagate())[6][1] > 25


def test_memories_around_a_prompt_can_be_cleared():
    """The option calls a method that is not there: sam2_video_predictor.py:526, :598, :956."""
    session = fake_session_on(8, clear_non_cond_mem_around_input=True)
    session.click(0, 1, (20, 20))
    list(session.propagate())
    session.click(4, 1, (24, 20))

    found = paths(session.propagate())

    assert sorted(found) == list(range(8))
    assert session._tracker.objects[1].bank.prompted.keys() == {0, 4}


@pytest.mark.parametrize("kind", ["file", "folder of any names", "arrays", "tensor", "pictures"])
def test_frames_come_in_any_form(tmp_path, kind):
    """JPEGs named by integers, or decord: sam2/utils/misc.py:97-151."""
    clip, folder = fake_clip(3), tmp_path / "shots"
    folder.mkdir()
    for frame, name in zip(clip, ("shot 1.png", "shot 2.png", "shot 10.png"), strict=True):
        Image.fromarray(frame).save(folder / name)
    video = {
        "file": write_clip(tmp_path / "clip.mkv", clip),
        "folder of any names": folder,
        "arrays": list(clip),
        "tensor": torch.from_numpy(clip).permute(0, 3, 1, 2),
        "pictures": [Image.fromarray(frame) for frame in clip],
    }[kind]
    session = Sam2VideoInferenceSession.open(video, FakeModel())
    session.click(0, 1, (20, 20))

    assert paths(session.propagate()) == {0: (20, 20), 1: (21, 20), 2: (22, 20)}


class Holey(FakeModel):
    """A fake model whose masks have a hole of one pixel."""

    def decode_masks(self, *args, **kwargs):
        masks = super().decode_masks(*args, **kwargs)
        masks.logits_b1hw[..., 5, 5] = -1.0
        return masks


def test_holes_are_closed_without_an_extension():
    """Without sam2._C there is a warning and the holes stay: sam2/utils/misc.py:312-338."""
    session = fake_session_on(3, Holey())
    session.click(0, 1, (22, 22))

    for result in session.propagate():
        assert result.masks[1][22, 22]


class Counting(FakeModel):
    """A fake model that counts its calls of memory attention."""

    calls = 0

    def condition_on_memory(self, features, recollection):
        self.calls += recollection is not None
        return super().condition_on_memory(features, recollection)


def test_many_objects_share_every_call():
    """Each object runs alone: sam2_video_predictor.py:581-625; sam2#382."""
    model = Counting()
    session = fake_session_on(8, model)
    for number in range(10):
        session.click(0, number, (20, 2 * number))

    list(session.propagate())

    assert model.calls == 7


def test_the_device_holds_no_more_as_time_goes_on():
    """Tracked outputs are kept for ever: sam2_video_predictor.py:614; sam2#196."""
    session = fake_session_on(120)
    session.click(0, 1, (20, 20))
    results = session.propagate()
    held = {next(results).frame: session.bytes_held().device for _ in range(120)}

    assert held[119] == held[30]
    assert session.masklet(1).frames == list(range(120))


def test_frames_are_not_all_kept_once_they_were_loaded():
    """The asynchronous loader keeps them: sam2/utils/misc.py:107-182; sam2#623."""
    session = fake_session_on(120, window=16)
    session.click(0, 1, (20, 20))

    assert max(session.frames.num_held for _ in session.propagate()) <= 16


def test_an_object_without_a_pointer_in_the_past_can_be_tracked_in_float32():
    """bfloat16 memories meet float32 weights: sam2_video_predictor.py:781."""
    session = Sam2VideoInferenceSession.open(noise_clip(6), drawn_video_model())
    session.click(0, 1, (20, 20))
    session.click(4, 2, (50, 30))

    results = list(session.propagate(start=0))

    assert session.options.memory_dtype == torch.bfloat16
    assert all(result.object_ids == (1, 2) for result in results)
    assert all(result.logits_bhw.isfinite().all() for result in results)


def test_the_model_is_described_by_its_config_alone():
    """35 parameters, 21 of them booleans: sam2_base.py:23-195."""
    assert list(inspect.signature(Sam2VideoModel).parameters) == ["config"]


def test_a_step_returns_named_parts(monkeypatch):
    """A tuple of seven, unpacked with underscores: sam2_base.py:405-413, :849-857."""
    returned = []
    monkeypatch.setattr(
        "sam2_hf.video.tracker.track_step",
        lambda *args, **options: returned.append(track_step(*args, **options)) or returned[-1],
    )
    session = fake_session_on(2)
    session.click(0, 1, (20, 20))
    list(session.propagate())

    assert [type(one) for one in returned] == [ObjectMasks]


def test_adding_a_prompt_only_stores_it():
    """It runs the model, and returns masks nobody asked for: sam2_video_predictor.py:161-293."""
    model = FakeModel()
    session = fake_session_on(8, model)

    assert session.click(0, 1, (20, 20)) is None
    assert session.box(0, 2, (10, 10, 30, 30)) is None
    assert session.mask(0, 3, np.ones((64, 64), bool)) is None
    assert model.encoded == []


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_time_is_mirrored_in_one_place(stride):
    """`if not track_in_reverse` stands in five: sam2_base.py:520, :543, :551, :595, :613."""
    for frame in range(14):
        forward = recent_frames(TrackingStep(-frame), count=6, stride=stride)
        backward = recent_frames(TrackingStep(frame, "backward"), count=6, stride=stride)

        assert backward == [-other for other in forward]


def test_objects_keep_their_numbers_when_one_is_removed(fake_session):
    """Five dictionaries are renumbered: sam2_video_predictor.py:907-922."""
    for number in (30, 10, 20):
        fake_session.click(0, number, (20, number))
    list(fake_session.propagate())

    fake_session.remove(30)

    assert fake_session.object_ids == (10, 20)
    assert {fake_session.masklet(number).object_id for number in (10, 20)} == {10, 20}
    assert center_of(next(fake_session.propagate()).masks[20]) == (20, 20)


def test_what_is_done_to_masks_is_an_option_one_can_see():
    """Hole filling hides in strings of the builder: build_sam.py:120-131."""
    assert fake_session_on(2).options.fill_hole_area == 8


def test_a_misspelled_option_is_refused():
    """Open keyword arguments swallow it: build_sam.py:106."""
    with pytest.raises(SessionError, match="'non_overlapping_masks'"):
        fake_session_on(2, non_overlapping_masks=True)


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_limit_of_frames_is_their_number(fake_session, direction):
    """max_frame_num_to_track=1 processes two: sam2_video_predictor.py:578-581."""
    fake_session.click(4, 1, (24, 20))

    assert len(list(fake_session.propagate(limit=1, direction=direction))) == 1


def test_going_backward_from_the_first_frame_gives_it(fake_session):
    """It gives nothing: sam2_video_predictor.py:572-575."""
    fake_session.click(0, 1, (20, 20))

    assert paths(fake_session.propagate(direction="backward")) == {0: (20, 20)}


@pytest.mark.parametrize("binarize", [True, False])
def test_given_masks_are_remembered_like_every_prompt_and_the_option_says_so(binarize):
    """`is_mask_from_pts=True` also where there are no points: sam2_video_predictor.py:518."""
    asked = []

    class Noting(FakeModel):
        def encode_memory(self, *args, binarize):
            asked.append(binarize)
            return super().encode_memory(*args, binarize=binarize)

    session = fake_session_on(2, Noting(), binarize_mask_from_pts_for_mem_enc=binarize)
    session.mask(0, 1, np.ones((64, 64), bool))
    next(session.propagate())

    assert asked == [binarize]


def test_an_object_without_prompts_is_named_with_what_to_do(fake_session):
    """It is told that there are no inputs, and not how to give one: sam2_video_predictor.py:546."""
    fake_session.click(0, 3, (20, 20))
    fake_session.clear(0, 3)

    with pytest.raises(NoPromptError, match=r"object 3 has no prompt.*session\.click"):
        fake_session.propagate()
