"""What a careful reader of the session found, one test each."""

import pickle

import numpy as np
import pytest
import torch

from sam2_hf.errors import FrameError, NoPromptError, SessionError
from sam2_hf.model.modeling_sam2 import Sam2Model
from sam2_hf.pipelines.video_segmentation import VideoSegmentationPipeline
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.prompts import VideoPrompt
from tests import fakes
from tests.drawn_video import drawn_video_model, noise_clip
from tests.fakes import FakeModel, fake_clip, fake_session_on


def drawn_session(**options):
    return Sam2VideoInferenceSession.open(noise_clip(8), drawn_video_model(), **options)


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_a_second_click_refines_a_frame_that_transformers_names_have_answered(compat):
    """There a prompted frame is answered again from its prompts, never as a correction."""
    model, session, at_once = drawn_video_model(), *(drawn_session(compat=compat) for _ in "ab")
    session.click(0, 1, (20, 20))
    first = model(session, frame_idx=0).pred_masks
    session.click(0, 1, (50, 30))
    refined = model(session, frame_idx=0).pred_masks

    at_once.click(0, 1, (20, 20))
    at_once.preview(0)
    at_once.click(0, 1, (50, 30))
    expected = at_once.preview(0).logits_bhw[:, None]

    assert torch.allclose(refined, expected, atol=1e-5)
    assert not torch.allclose(refined, first, atol=1e-3)


def test_an_iterator_keeps_every_mask():
    session = Sam2VideoInferenceSession.open(iter(fake_clip(60)), FakeModel())
    session.click(0, 1, (20, 20))

    list(session.propagate())

    assert session.masklet(1).frames == list(range(60))


def test_a_model_in_train_mode_is_refused():
    model = drawn_video_model()
    session = Sam2VideoInferenceSession.open(noise_clip(2), model)
    session.click(0, 1, (20, 20))
    model.train()
    try:
        with pytest.raises(SessionError, match="eval"):
            session.preview(0)
    finally:
        model.eval()


@pytest.mark.parametrize("model", [None, "sam2-hiera-micro", torch.nn.Linear(1, 1)])
def test_a_model_that_cannot_track_is_refused_at_once(model, tmp_path):
    with drawn_session() as session:
        session.click(0, 1, (20, 20))
        session.save(tmp_path / "saved")
    unpickled = pickle.loads(pickle.dumps(drawn_session()))

    for act in (
        lambda: Sam2VideoInferenceSession.open(noise_clip(2), model),
        lambda: Sam2VideoInferenceSession.load(tmp_path / "saved", noise_clip(8), model),
        lambda: unpickled.use_model(model),
    ):
        with pytest.raises(SessionError, match=f"{type(model).__name__}; a Sam2VideoModel is"):
            act()


def test_an_image_model_is_refused_by_a_session():
    model = Sam2Model.from_pretrained("sam2-hiera-micro")

    with pytest.raises(SessionError, match="is a Sam2Model; a Sam2VideoModel is needed"):
        Sam2VideoInferenceSession.open(noise_clip(2), model)


@pytest.mark.parametrize("frame", [np.int64(3), torch.tensor(3), np.array(3)])
def test_a_frame_number_of_any_kind_is_the_same_frame(frame):
    session = fake_session_on(8)

    session.click(frame, 1, (20, 20))
    session.click(3, 1, (22, 20))

    assert [type(key) for key in session._tracker.objects[1].prompts] == [int]
    assert len(session.prompts_of(3, 1).clicks) == 2


def test_a_click_during_a_propagation_is_one_on_a_frame_not_yet_tracked():
    """With and without a look at it in between."""
    looked, not_looked = (drawn_session(compat="official") for _ in "ab")
    for session in (looked, not_looked):
        session.click(0, 1, (20, 20))
        results = session.propagate()
        next(results)
        session.click(6, 1, (50, 30))
        if session is looked:
            session.preview(6)
        list(results)
        list(session.propagate())

    prompted = [sorted(s._tracker.objects[1].bank.prompted) for s in (looked, not_looked)]
    assert prompted == [[0, 6], [0, 6]]


def test_a_removed_object_is_not_in_a_save(tmp_path):
    model = drawn_video_model()
    session = Sam2VideoInferenceSession.open(noise_clip(6), model)
    for number in (1, 2):
        session.click(0, number, (20, 10 * number))
    list(session.propagate())
    session.remove(2)
    session.save(tmp_path)

    loaded = Sam2VideoInferenceSession.load(tmp_path, noise_clip(6), model)

    assert {key[0] for key, _ in loaded._tracker.registry.store.places()} == {1}


def test_reset_lets_removed_objects_go_too():
    session = fake_session_on(6)
    session.click(0, 1, (20, 20))
    list(session.propagate())
    session.remove(1)

    session.reset()

    assert len(session._tracker.registry.store) == 0
    assert not session.undo()


def test_undo_on_a_stream_drops_what_can_no_longer_be_answered():
    session = fake_session_on(None)
    session.step(fake_clip(1)[0])
    session.click(0, 1, (20, 20))
    session.click(0, 1, (22, 20))
    for picture in fake_clip(40):
        session.step(picture)

    session.undo()

    assert session.step(fake_clip(1)[0]).frame == 41


def test_the_pipeline_hands_out_what_was_tracked_before_a_frame_that_cannot_be_had():
    clip = [*fake_clip(6), "no such picture.png"]
    track = VideoSegmentationPipeline(FakeModel())

    with pytest.raises(FrameError) as caught:
        track(clip, [VideoPrompt(frame=0, object_id=1, clicks=(20, 20))])

    assert caught.value.tracked.masklets[1].frames == list(range(6))


def test_a_stream_is_stepped_with_numbers_of_the_callers_own():
    """Memories are chosen by these numbers: the fake model counts them in its answers."""
    session = fake_session_on(None)
    session.step(fakes.picture(3), frame=3)
    session.click(3, 1, (20, 20))

    results = [session.step(fakes.picture(number), frame=number) for number in (4, 5, 30)]

    assert [result.frame for result in results] == [4, 5, 30]
    read = [round(100 * result.iou[1]) for result in results]
    assert read == [1, 2, 1]  # the prompted frame, and what lies within six frames
    assert session.step(fakes.picture(31)).frame == 31


def test_undo_keeps_prompts_on_frames_that_a_stream_has_yet_to_bring():
    session = fake_session_on(None)
    session.step(fakes.picture(0))
    session.put_prompts(2, 1, session.prompts_of(0, 1).with_box((5, 5, 20, 20)))
    session.click(0, 1, (20, 20))

    session.undo()

    assert session.prompts_of(2, 1).box == (5, 5, 20, 20)


def sized_model(channels):
    """A fake model that says how large its memories are."""
    model = FakeModel()
    model.memory_shape, model.hidden_dim = (channels, 16, 16), 4 * channels
    return model


def test_a_model_of_another_size_is_refused_where_something_is_remembered():
    session = fake_session_on(4, sized_model(64))
    session.click(0, 1, (20, 20))
    list(session.propagate())

    session.use_model(sized_model(64))
    with pytest.raises(
        SessionError, match=r"\(64, 16, 16\), 256\), and now \(64, \(32, 16, 16\), 128\)"
    ):
        session.use_model(sized_model(32))

    session.reset_inference_session()
    session.use_model(sized_model(32))


@pytest.mark.parametrize("compat", ["official", "transformers"])
def test_an_object_with_nothing_but_a_correction_left_has_no_prompt_to_track_from(compat):
    """There a corrected frame is no conditioning frame, and the original raises too."""
    session = fake_session_on(6, compat=compat)
    session.click(0, 1, (20, 20))
    list(session.propagate())
    session.click(3, 1, (40, 40))

    session.clear(0, 1)

    with pytest.raises(NoPromptError):
        session.propagate()


def test_a_run_begins_at_the_first_conditioning_frame_and_not_at_a_correction():
    session = fake_session_on(6, compat="official")
    session.click(2, 1, (20, 20))
    list(session.propagate(direction="both"))
    session.click(1, 1, (40, 40))

    assert next(session.propagate()).frame == 2
