"""Every option by its name, and what it changes."""

from dataclasses import fields, replace
from itertools import combinations
from unittest.mock import patch

import numpy as np
import pytest
import torch

from sam2_hf.errors import SessionError
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from sam2_hf.video.session_options import MEMORY_POLICIES, SessionOptions
from tests.drawn_video import drawn_video_model, noise_clip, own_video_model
from tests.fakes import SIDE, FakeModel, center_of, fake_session_on, picture
from tests.video.in_view_policy import InViewPolicy


def clicked(num_frames=8, model=None, **options):
    session = fake_session_on(num_frames, model, **options)
    session.click(0, 1, (20, 20))
    return session


def corrected(**options):
    """Where the object is on frame 7, after a correction on frame 4."""
    session = clicked(**options)
    list(session.propagate())
    session.click(4, 1, (24, 40))
    return center_of(list(session.propagate())[7].masks[1])


def shown_after_two_clicks(**options):
    session = clicked(**options)
    session.click(0, 1, (30, 20))
    return session.preview(0).logits_bhw.sum().item()


def memories_after_a_correction(**options):
    session = clicked(**options)
    list(session.propagate())
    session.click(4, 1, (24, 40))
    next(session.propagate(start=4))
    return session._tracker.objects[1].bank.tracked


def memories_read_on_the_last_frame(num_frames=12, **options):
    """The fake model's predicted IoU counts them."""
    session = clicked(num_frames, **options)
    session.click(2, 1, (22, 20))
    session.click(4, 1, (24, 20))
    session.click(6, 1, (26, 20))
    return round(100 * list(session.propagate())[-1].iou[1])


def frames_read_on_the_last_frame(**options):
    session = clicked(12, **options)
    list(session.propagate())
    return sorted(session._tracker.objects[1].bank._spatial)


def memories_read_after_frames_out_of_view(**options):
    with patch.dict(MEMORY_POLICIES, in_view=InViewPolicy):
        return frames_read_on_the_last_frame(model=FakeModel(gone_on=(8, 9)), **options)


def overlap(**options):
    """Pixels that two neighbors share in what is handed out."""
    session = clicked(**options)
    session.click(0, 2, (24, 20))
    masks = list(session.propagate(limit=2))[1].masks
    return int((masks[1] & masks[2]).sum())


def remembered_apart(**options):
    """Where two neighbors are remembered to be."""
    session = clicked(**options)
    session.click(0, 2, (28, 20))
    next(session.propagate())
    objects = session._tracker.objects.values()
    return [one.bank.prompted[0].spatial_bx[0, 0].item() for one in objects]


class FlatMemory(FakeModel):
    """A fake model that notes whether masks are to be remembered as seen."""

    def encode_memory(self, features, logits_b1hw, score_b1, *, binarize):
        self.binarized = [*getattr(self, "binarized", []), binarize]
        return super().encode_memory(features, logits_b1hw, score_b1, binarize=binarize)


def binarized(**options):
    model = FlatMemory()
    list(clicked(model=model, **options).propagate(limit=2))
    return model.binarized


def remembered_column_of_a_mask(**options):
    """One column at the edge of a mask, which a quarter of the resolution cannot see."""
    session = fake_session_on(8, **options)
    given = np.zeros((SIDE, SIDE), bool)
    given[16:32, 16:33] = True
    session.mask(0, 1, given)
    next(session.propagate())
    return session._tracker.objects[1].bank.prompted[0].spatial_bx[0, 0].item()


class Holey(FakeModel):
    """A fake model whose masks have a hole of one pixel."""

    def decode_masks(self, *args, **kwargs):
        masks = super().decode_masks(*args, **kwargs)
        masks.logits_b1hw[..., 5, 5] = -1.0
        return masks


def hole(**options):
    return clicked(model=Holey(), **options).preview(0).logits_bhw[0, 5, 5].item()


def drawn_logits(num_frames=4, **options):
    session = Sam2VideoInferenceSession.open(noise_clip(num_frames), drawn_video_model(), **options)
    session.click(0, 1, (20, 20))
    return [result.logits_bhw.sum().item() for result in session.propagate()]


def steps_to_be_compiled(**options):
    with patch("sam2_hf.video.compiled_steps.Compiled", side_effect=lambda step: step) as compiled:
        drawn_logits(2, **options)
    return compiled.call_count


def stored_type(**options):
    session = clicked(**options)
    list(session.propagate())
    return session._tracker.objects[1].bank.spatial_bx(5).dtype


def masks_kept(**options):
    session = clicked(40, **options)
    list(session.propagate())
    return session.masklet(1).frames


def kept_by_a_stream(**options):
    session = fake_session_on(None, **options)
    for frame in range(60):
        session.step(picture(frame))
    return session.frames.kept


def bytes_on_disk(**options):
    session = clicked(**options)
    list(session.propagate())
    return session.bytes_held().disk


def encoded_when_looking_back_and_forth(**options):
    model = FakeModel()
    session = clicked(model=model, **options)
    session.click(1, 1, (20, 20))
    for frame in (0, 1, 0, 1):
        session.click(frame, 1, (21, 20))
        session.preview(frame)
    return model.encoded


def after_two_clicks(model, **options):
    """Mask logits of a frame with two clicks, and of the next one."""
    with Sam2VideoInferenceSession.open(noise_clip(2), model, **options) as session:
        session.click(0, 1, (20, 20))
        session.click(0, 1, (40, 30))
        return [result.logits_bhw for result in session.propagate()]


def always_unstable(model):
    """Let no single mask count as stable."""
    model.config.mask_decoder_config.dynamic_multimask_stability_thresh = 1.1
    return model


def shown_where_no_single_mask_is_stable(**options):
    found = after_two_clicks(always_unstable(own_video_model()), **options)
    return [logits.sum().item() for logits in found]


def brightest_of_words(**options):
    deep = noise_clip(2)[..., 0].astype(np.uint16) * 16  # 12 bits of 16
    session = Sam2VideoInferenceSession.open(deep, drawn_video_model(), **options)
    return session.frames.picture(1).max()


def frames_shown_backward_from_the_first(**options):
    return len(list(clicked(**options).propagate(0, direction="backward")))


# option -> a value that is not the default, and something that it changes
def approximation_refused(**options):
    try:
        return SessionOptions(every_kth_memory=2, **options).every_kth_memory
    except SessionError as error:
        return str(error)


def frames_remembered(**options):
    session = clicked(approximate=True, **options)
    list(session.propagate())
    return session._tracker.objects[1].bank.tracked


def sides_of_logits(**options):
    session = Sam2VideoInferenceSession.open(
        noise_clip(2), drawn_video_model(), approximate=True, **options
    )
    session.click(0, 1, (20, 20))
    return list(session.propagate())[1].logits_bhw.shape


def frames_tracked_of_a_stream(**options):
    model = FakeModel()
    stream = fake_session_on(None, model, approximate=True, **options)
    stream.step(picture(0))
    stream.click(0, 1, (15, 10))
    for frame in range(1, 6):
        stream.step(picture(frame))
    return model.encoded


EFFECTS = {
    "add_all_frames_to_correct_as_cond": (False, corrected),
    "prev_sam_mask_logits": (False, shown_after_two_clicks),
    "clear_non_cond_mem_around_input": (True, memories_after_a_correction),
    "memory_temporal_stride_for_eval": (2, frames_read_on_the_last_frame),
    "max_cond_frames_in_attn": (2, memories_read_on_the_last_frame),
    "binarize_mask_from_pts_for_mem_enc": (False, binarized),
    "dynamic_multimask_via_stability": (False, shown_where_no_single_mask_is_stable),
    "non_overlap_masks": (True, overlap),
    "non_overlap_masks_for_mem_enc": (True, remembered_apart),
    "fill_hole_area": (0, hole),
    "mask_prompts_at_full_resolution": (True, remembered_column_of_a_mask),
    "skip_backward_from_first": (True, frames_shown_backward_from_the_first),
    "pointer_times": ("clip", drawn_logits),
    "frame_compat": ("transformers", drawn_logits),
    "value_range": ((0, 4080), brightest_of_words),
    "memory_policy": ("in_view", memories_read_after_frames_out_of_view),
    "memory_dtype": (torch.float32, stored_type),
    "keep": ("window", masks_kept),
    "window": (16, kept_by_a_stream),
    "ram_budget": (0, bytes_on_disk),
    "compile": (True, steps_to_be_compiled),
    "approximate": (True, approximation_refused),
    "every_kth_memory": (2, frames_remembered),
    "image_size": (32, sides_of_logits),
    "latency_budget": (1e-9, frames_tracked_of_a_stream),
    "cached_features": (2, encoded_when_looking_back_and_forth),
}


def test_every_option_has_a_test():
    """The original has one that crashes whenever it is used: sam2_video_predictor.py:526."""
    names = {field.name for field in fields(SessionOptions)}
    assert names == {*EFFECTS, "spill_folder"}


@pytest.mark.parametrize("name", EFFECTS)
def test_an_option_has_an_effect(name):
    value, observe = EFFECTS[name]
    assert value != getattr(SessionOptions(), name)
    assert observe(**{name: value}) != observe()


def test_an_open_session_can_go_on_with_other_options():
    session = clicked()
    session.click(0, 2, (24, 20))
    before = session.preview(0).masks

    session.use_options(replace(session.options, non_overlap_masks=True))
    session.use_options(replace(session.options, add_all_frames_to_correct_as_cond=False))
    after = session.preview(0).masks
    list(session.propagate())
    session.click(4, 1, (24, 40))

    assert (before[1] & before[2]).any()
    assert not (after[1] & after[2]).any()
    assert center_of(list(session.propagate())[7].masks[1])[1] < 30  # the correction is lost


def test_what_a_session_was_opened_with_cannot_be_changed_later():
    session = clicked()

    with pytest.raises(SessionError, match="window was 32 when the session was opened"):
        session.use_options(replace(session.options, window=64))

    assert session.options.window == 32


def test_what_leaves_the_ram_goes_to_the_spill_folder(tmp_path):
    session = clicked(ram_budget=0, spill_folder=tmp_path)
    list(session.propagate())

    assert sum(path.stat().st_size for path in tmp_path.rglob("*.bin")) > 0
    session.close()
    assert list(tmp_path.iterdir()) == []


def test_memories_lie_farther_apart_with_a_stride():
    assert frames_read_on_the_last_frame() == [6, 7, 8, 9, 10, 11]
    assert frames_read_on_the_last_frame(memory_temporal_stride_for_eval=2) == [2, 4, 6, 8, 10, 11]


def test_fewer_prompted_frames_are_read_than_there_are():
    assert memories_read_on_the_last_frame() == 4 + 5  # of the six before, one is prompted
    assert memories_read_on_the_last_frame(max_cond_frames_in_attn=2) == 2 + 5


def test_neighbors_are_kept_apart_in_what_is_handed_out():
    assert overlap() > 0
    assert overlap(non_overlap_masks=True) == 0


def test_small_holes_are_closed():
    assert hole() == pytest.approx(0.1)
    assert hole(fill_hole_area=0) == -1.0


def test_a_window_keeps_its_last_frames():
    assert masks_kept(keep="window", window=16) == [0, *range(24, 40)]  # 0 has the prompt
    assert masks_kept() == list(range(40))


@pytest.mark.parametrize("stride", [1, 3, 5])
def test_a_window_gives_the_masks_of_a_session_that_keeps_everything(stride):
    """What the model can still read is never thrown away."""
    options = {"memory_temporal_stride_for_eval": stride, "memory_dtype": torch.float32}
    windowed = drawn_logits(30, keep="window", window=16, **options)
    assert windowed == drawn_logits(30, **options)


def test_a_clip_and_a_stream_agree_where_pointer_times_are_fixed():
    model, clip = drawn_video_model(), noise_clip(4)
    stream = Sam2VideoInferenceSession.open(None, model)
    stream.step(clip[0])
    stream.click(0, 1, (20, 20))

    found = [stream.step(frame).logits_bhw.sum().item() for frame in clip[1:]]

    assert found == drawn_logits()[1:]
    assert found != drawn_logits(pointer_times="clip")[1:]


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_every_preset_tracks(compat):
    session = clicked(compat=compat)
    assert center_of(list(session.propagate())[7].masks[1]) == (27, 20)


def test_presets_differ_and_the_first_is_the_default():
    presets = [SessionOptions.preset(name) for name in ("sam2_hf", "official", "transformers")]

    assert presets[0] == SessionOptions()
    assert all(one != other for one, other in combinations(presets, 2))


def test_a_preset_may_be_changed():
    options = SessionOptions.preset("official", window=40)
    assert (options.window, options.add_all_frames_to_correct_as_cond) == (40, False)


def test_a_misspelled_option_is_refused_with_those_there_are():
    """Open keyword arguments would swallow it."""
    with pytest.raises(SessionError, match=r"no option 'fill_holes'\. Options: .*fill_hole_area"):
        fake_session_on(8, fill_holes=8)


def test_an_unknown_preset_is_refused():
    with pytest.raises(SessionError, match="compat='sam3' is unknown"):
        SessionOptions.preset("sam3")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pointer_times", "short"),
        ("frame_compat", "pil"),
        ("keep", "some"),
        ("memory_temporal_stride_for_eval", 0),
        ("window", 15),
        ("cached_features", 0),
        ("fill_hole_area", -1),
        ("ram_budget", -1),
        ("max_cond_frames_in_attn", 1),
        ("max_cond_frames_in_attn", 0),
        ("memory_dtype", torch.int8),
        ("memory_policy", "trees"),
        ("memory_policy", "tree+sam2"),
        ("memory_policy", "sam2+score+samurai"),
        ("memory_policy", 7),
        ("memory_policy", ["score"]),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name, value):
    with pytest.raises(SessionError, match=name):
        SessionOptions(**{name: value})


def test_the_stability_fallback_may_be_turned_off_for_a_session():
    model = always_unstable(own_video_model())
    fallback = after_two_clicks(model)

    without = after_two_clicks(model, dynamic_multimask_via_stability=False)

    model.config.mask_decoder_config.dynamic_multimask_via_stability = False
    expected = after_two_clicks(model)
    assert all(map(torch.equal, without, expected))
    assert not torch.equal(without[0], fallback[0])
    restored = after_two_clicks(model, dynamic_multimask_via_stability=True)
    assert all(map(torch.equal, restored, fallback))


def test_the_fallback_also_counts_where_tracking_decodes_a_single_mask():
    model = always_unstable(own_video_model())
    model.config.multimask_output_for_tracking = False
    options = {"binarize_mask_from_pts_for_mem_enc": False}
    session = Sam2VideoInferenceSession.open(noise_clip(2), model, **options)
    session.mask(0, 1, np.eye(48, 72) > 0)
    fallback = list(session.propagate())[1].logits_bhw
    options["dynamic_multimask_via_stability"] = False
    session = Sam2VideoInferenceSession.open(noise_clip(2), model, **options)
    session.mask(0, 1, np.eye(48, 72) > 0)

    assert not torch.equal(list(session.propagate())[1].logits_bhw, fallback)


@pytest.mark.parametrize("compat", ["sam2_hf", "official", "transformers"])
def test_without_postprocessing_the_three_settings_of_the_originals_builder_are_off(compat):
    """tools/vos_inference.py builds with apply_postprocessing=False (build_sam.py:117-131)."""
    plain = SessionOptions.preset(compat, apply_postprocessing=False)

    assert plain.fill_hole_area == 0
    assert plain.binarize_mask_from_pts_for_mem_enc is False
    assert plain.dynamic_multimask_via_stability is False
    names = {field.name for field in fields(SessionOptions)} - {
        "fill_hole_area",
        "binarize_mask_from_pts_for_mem_enc",
        "dynamic_multimask_via_stability",
    }
    usual = SessionOptions.preset(compat)
    assert all(getattr(plain, name) == getattr(usual, name) for name in names)


def test_a_range_may_be_the_list_that_json_makes_of_it():
    assert SessionOptions(value_range=[0, 4095]).value_range == (0.0, 4095.0)
    with pytest.raises(SessionError, match="value_range"):
        SessionOptions(value_range=4095)


def test_a_saved_session_reads_its_video_on_the_same_scale(tmp_path):
    deep = noise_clip(3)[..., 0].astype(np.int32) * 16 - 1000
    session = Sam2VideoInferenceSession.open(deep, drawn_video_model(), value_range=(-1000, 3080))
    session.click(0, 1, (20, 20))
    expected = [result.logits_bhw for result in session.propagate()]
    session.save(tmp_path / "job")

    again = Sam2VideoInferenceSession.load(tmp_path / "job", deep, drawn_video_model())

    assert again.options.value_range == (-1000.0, 3080.0)
    assert all(map(torch.equal, [one.logits_bhw for one in again.propagate()], expected))


def test_a_step_reads_a_deep_picture_on_the_scale_of_the_session():
    deep = noise_clip(2)[..., 0].astype(np.uint16) * 16
    session = Sam2VideoInferenceSession.open(None, drawn_video_model(), value_range=(0, 4080))

    session.step(deep[0])

    assert session.frames.picture(0).max() == 255
