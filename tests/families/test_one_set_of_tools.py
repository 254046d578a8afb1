"""Every family of weights in the same sessions, pipelines, evaluation and exports."""

import copy
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from peers import transformers_warnings

import sam2_hf
from evaluation.sets.open_set import open_set
from evaluation.vos.tracking import track_video
from sam2_hf import VideoPrompt, VideoSession, compiling
from sam2_hf.compiling import Compiled
from sam2_hf.errors import ExportError, SessionError
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.graphs import graphs_of
from sam2_hf.export.onnx_files import exportable_copy, with_input_size
from sam2_hf.export.photo_graphs import photo_graphs
from sam2_hf.video import compiled_steps
from tests.small_families import SIDE, edgetam_config, efficienttam_config
from tests.small_sets import write_davis

CLICK = (20, 28)
ENOUGH = 0.999  # of the pixels; graphs sum in another order
FEW_FRAMES = 4


def tracked(session):
    return [result.masks[1] for result in session.propagate()]


def prompted(model, clip, prompt="click"):
    session = VideoSession.open(clip, model)
    if prompt == "click":
        session.click(frame=0, object_id=1, xy=CLICK)
    else:
        mask = np.zeros((SIDE, SIDE), bool)
        mask[20:36, 10:26] = True
        session.mask(frame=0, object_id=1, mask_hw=mask)
    return session


class EagerGraphs:
    """The modules that graphs are made of, called as a folder of graphs is."""

    about: ClassVar[dict[str, str]] = {}
    folder = "graphs"
    fingerprint = "0" * 64

    def __init__(self, model):
        self.config = model.config
        ready = exportable_copy(model, torch.float32)
        self.modules = {graph.name: graph.module for graph in graphs_of(ready)}

    @torch.no_grad()
    def __call__(self, name, **inputs):
        found = self.modules[name](*inputs.values())
        return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("prompt", ["click", "mask"])
def test_an_object_is_tracked_and_a_saved_session_goes_on_with_equal_bits(
    family_model, clip, prompt, tmp_path
):
    whole = tracked(prompted(family_model, clip, prompt))

    other = prompted(family_model, clip, prompt)
    list(other.propagate(limit=FEW_FRAMES))
    other.save(tmp_path / "session")
    resumed = VideoSession.load(tmp_path / "session", clip, family_model)

    assert len(whole) == len(clip)
    for found, wanted in zip(tracked(resumed), whole, strict=True):
        assert np.array_equal(found, wanted)


def test_objects_of_one_group_do_not_disturb_each_other(family_model, clip):
    alone, both = prompted(family_model, clip), prompted(family_model, clip)
    both.click(frame=0, object_id=2, xy=(45, 50))

    for found, wanted in zip(tracked(both), tracked(alone), strict=True):
        assert np.mean(found == wanted) >= ENOUGH


def test_every_part_has_the_fused_kernel_unless_another_is_set(family_model):
    model = copy.deepcopy(family_model)
    parts = [part for part in model.modules() if hasattr(part, "config")]

    assert {part.config._attn_implementation for part in parts} == {"sdpa"}

    with transformers_warnings() as warnings:
        model.set_attn_implementation("eager")

    encoder = [part for part in model.vision_encoder.modules() if hasattr(part, "config")]
    assert {part.config._attn_implementation for part in encoder} == {"eager"}
    assert not [warning for warning in warnings if "vision_config" in warning]


def test_a_folder_is_loaded_into_pipelines_by_its_model_type(folder, family, clip):
    photo = sam2_hf.pipeline("image-segmentation", model=folder)
    video = sam2_hf.pipeline("video-segmentation", model=folder)

    found = photo(clip[0], points=CLICK)
    frames = list(video(clip, VideoPrompt(0, 1, clicks=CLICK)))

    assert photo.model.config.model_type in (family, family.removesuffix("_video"))
    assert found.best.shape == (SIDE, SIDE)
    assert len(frames) == len(clip)


def test_everything_in_a_photo_is_looked_for(family_model, clip):
    photos = sam2_hf.Sam2Model.from_video_model(family_model)
    generate = sam2_hf.MaskGenerationPipeline(photos, points_per_side=4, pred_iou_thresh=0.0)

    assert generate(clip[0]) is not None


def test_an_evaluation_tracks_a_set(family_model, tmp_path):
    cat = open_set("davis17-val", str(write_davis(tmp_path / "set")))[0]

    results = list(track_video(cat, family_model))

    assert [result.frame for result in results] == [0, 1, 2, 3, 4]


def test_the_graphs_of_an_export_track_a_clip_as_the_model_does(family_model, clip):
    exported = ExportedSam2(EagerGraphs(family_model))

    found, wanted = (tracked(prompted(model, clip)) for model in (exported, family_model))

    for one, other in zip(found, wanted, strict=True):
        assert np.mean(one == other) >= ENOUGH


@torch.no_grad()
def test_the_graphs_of_photo_formats_answer_as_the_model_does(family_model):
    ready = exportable_copy(family_model, torch.float32)
    encoder, decoder = (graph.module for graph in photo_graphs(ready))
    side, low = family_model.image_size, family_model.mask_input_size
    pixels = torch.rand(1, 3, side, side)
    points, labels = torch.tensor([[[20.0, 28.0]]]), torch.tensor([[1]])
    photos = sam2_hf.Sam2Model.from_video_model(family_model)

    maps = encoder(pixels)
    logits, _, _ = decoder(*maps, points, labels, torch.zeros(1, 1, *low), torch.zeros(1) > 0)

    wanted = photos(pixels, input_points=points[None], input_labels=labels[None])
    difference = (logits[:, 1:] - wanted.pred_masks[0]).abs().max()
    assert difference <= 1e-3 * wanted.pred_masks.std()


@pytest.mark.parametrize("policy", ["samurai", "distractor", "tree"])
def test_every_memory_policy_tracks_an_object_with_a_reference(family_model, clip, policy):
    session = VideoSession.open(clip, family_model, memory_policy=policy)
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:36, 10:26] = True
    session.reference(clip[0], mask, object_id=1)

    assert len(tracked(session)) == len(clip)


def test_what_reads_no_single_cells_of_memories_is_not_explained(family_model, clip):
    session = prompted(family_model, clip)
    list(session.propagate(limit=FEW_FRAMES))

    if family_model.config.model_type == "sam3_tracker_video":
        shares = session.explain(frame=2, object_id=1)
        assert sum(memory.weight for memory in shares.memories) <= 1.001
    elif family_model.config.model_type == "edgetam_video":
        with pytest.raises(SessionError, match="compresses them as EdgeTAM"):
            session.explain(frame=2, object_id=1)
    else:
        assert family_model.config.memory_attention_pooling == "none"
        assert session.explain(frame=2, object_id=1).memories


def test_an_efficienttam_that_pools_memories_is_not_explained(clip):
    config = efficienttam_config(memory_attention_pooling="scores")
    session = prompted(sam2_hf.Sam2VideoModel(config).eval(), clip)
    list(session.propagate(limit=FEW_FRAMES))

    with pytest.raises(SessionError, match="pools them as some EfficientTAMs"):
        session.explain(frame=2, object_id=1)


def test_a_session_refuses_a_model_that_cannot_read_its_memories(clip):
    session = prompted(sam2_hf.Sam2VideoModel(edgetam_config()).eval(), clip)
    list(session.propagate(limit=FEW_FRAMES))
    wider = edgetam_config(perceiver_resampler_num_latents=8)

    with pytest.raises(SessionError, match="another size"):
        session.use_model(sam2_hf.Sam2VideoModel(wider).eval())


def test_graphs_that_would_have_to_decide_on_pooling_are_refused(clip):
    model = sam2_hf.Sam2VideoModel(efficienttam_config(memory_attention_pooling="scores")).eval()
    session = VideoSession.open(clip, model, compile=True)
    session.click(frame=0, object_id=1, xy=CLICK)

    with pytest.raises(SessionError, match="pools"):
        list(session.propagate())
    with pytest.raises(ExportError, match="pools"):
        exportable_copy(model, torch.float32)


def test_fast_paths_change_nothing_but_the_order_of_sums(family_model, clip):
    plain = copy.deepcopy(family_model)
    plain.fast = False

    found, wanted = (tracked(prompted(model, clip)) for model in (family_model, plain))

    for one, other in zip(found, wanted, strict=True):
        assert np.mean(one == other) >= ENOUGH


@pytest.mark.parametrize(("side", "side_of_sam3"), [(160, 56), (96, 96), (100, 100)])
def test_another_input_size_is_taken_or_refused_in_our_words(
    family_model, family, clip, side, side_of_sam3
):
    if family == "sam3_tracker":
        with pytest.raises(ValueError, match="Load the model for the other size"):
            family_model.at_image_size(side)
        with pytest.raises(SessionError, match=r"Load the model|for SAM 3's tracker of 14"):
            VideoSession.open(clip, family_model, approximate=True, image_size=side_of_sam3)
        if side_of_sam3 % 14:
            with pytest.raises(ExportError, match="patches of 14 pixels"):
                with_input_size(family_model, side_of_sam3)
            return
        resized = with_input_size(family_model, side_of_sam3)
    elif side % 32:
        with pytest.raises(ValueError, match="multiple of 32"):
            family_model.at_image_size(side)
        with pytest.raises(SessionError, match="multiple of 32"):
            VideoSession.open(clip, family_model, approximate=True, image_size=14 * 7)
        return
    else:
        resized = family_model.at_image_size(side)
    assert len(tracked(prompted(resized, clip[:2]))) == 2


def test_latents_that_do_not_divide_the_grid_are_refused(clip):
    latents = {
        "perceiver_resampler_num_latents_2d": 16,
        "memory_attention_rope_k_sizes": [4, 4],
    }
    model = sam2_hf.Sam2VideoModel(edgetam_config(**latents))

    with pytest.raises(ValueError, match=r"image_size=96 .* cannot share 6 cells"):
        model.at_image_size(96)
    with pytest.raises(SessionError, match=r"image_size=96 .* cannot share 6 cells"):
        VideoSession.open(clip[:1], model, approximate=True, image_size=96)


def test_only_a_rate_of_stochastic_depth_above_0_is_refused(family_model, family):
    model = copy.deepcopy(family_model)
    model.set_drop_path(0.0)

    if family != "efficienttam":
        with pytest.raises(ValueError, match=r"0\.1"):
            model.set_drop_path(0.1)


@pytest.mark.slow
def test_compiled_frames_are_those_of_eager_tracking(family_model, clip, monkeypatch):
    torch._dynamo.reset()
    monkeypatch.setattr(compiled_steps, "Compiled", partial(Compiled, backend="eager"))
    refused = []
    monkeypatch.setattr(compiling.logger, "warning", lambda text, *_: refused.append(text))

    found = []
    for compiled in (False, True):
        session = VideoSession.open(clip[:FEW_FRAMES], family_model, compile=compiled)
        session.click(frame=0, object_id=1, xy=CLICK)
        found.append(tracked(session))

    assert refused == []
    for one, other in zip(*found, strict=True):
        assert np.mean(one == other) >= ENOUGH
