"""Sessions and pipelines on exported graphs against the same on the PyTorch model."""

import argparse
import copy
import pickle
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
import torch
from PIL import Image

from evaluation.loaded_model import load_model as evaluation_model
from sam2_hf import (
    Click,
    EncodedImage,
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    ObjectPrompt,
    PromptError,
    SessionError,
    VideoSession,
)
from sam2_hf.cli import main
from sam2_hf.errors import ExportError
from sam2_hf.export import OnnxSam2
from sam2_hf.export.exported_sam2 import ExportedSam2
from sam2_hf.export.parity import BLOCK, DISC, HEIGHT, WIDTH, moving_shapes
from sam2_hf.pipelines.loading import load_model, load_video_model

FREE_RUNNING = 1e-2  # logits; each frame goes on with what its own runtime remembers
FORCED = 1e-3  # logits; both attend to the same memories
LEAST_IOU = 0.999
FEW_FRAMES = 6


def iou(one, other):
    union = (one | other).sum()
    return 1.0 if union == 0 else (one & other).sum() / union


def compare(found, wanted, most=FREE_RUNNING):
    assert [one.frame for one in found] == [one.frame for one in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.object_ids == other.object_ids
        assert (one.logits_bhw - other.logits_bhw).abs().max() <= most, one.frame
        assert min(iou(one.masks[n], other.masks[n]) for n in one.object_ids) >= LEAST_IOU
        assert one.object_score == pytest.approx(other.object_score, abs=most)
        assert one.iou == pytest.approx(other.iou, abs=1e-3)


def whole_story(model):
    """Two objects, corrections, one object added late, one removed, both directions, a mask.

    Without what turns rounding into steps: holes that are filled or not, memories in bfloat16.
    """
    options = {"fill_hole_area": 0, "memory_dtype": torch.float32}
    session = VideoSession.open(moving_shapes(), model, **options)
    session.click(0, 1, DISC)
    session.box(0, 2, BLOCK)
    results = [session.preview(0), *session.propagate(limit=8)]
    session.click(6, 1, [(78, 86), (20, 20)], positive=[True, False])
    session.click(8, 3, (136, 30))  # the center of the dot
    for result in session.propagate(start=6):
        results.append(result)
        if result.frame == 12:
            session.remove(2)
    results += session.propagate(start=7, direction="backward")
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    session.mask(0, 4, (rows - 80) ** 2 + (columns - 60) ** 2 < 30**2)
    return [*results, *session.propagate(limit=FEW_FRAMES)]


def few_clicks(model, **options):
    session = VideoSession.open(moving_shapes(FEW_FRAMES), model, **options)
    session.click(0, 1, DISC)
    session.click(0, 2, [(180, 110), (60, 80)], positive=[True, False])
    return session


class Forced(ExportedSam2):
    """Graphs that follow the model: it answers and remembers, and they answer from the same."""

    def __init__(self, graphs, model):
        super().__init__(graphs)
        self.model, self.worst = model, Counter()

    def encode_image(self, pixel_values):
        wanted = self.model.encode_image(pixel_values)
        found = super().encode_image(pixel_values)
        return self.noted("encode_image", wanted, found, fields(wanted))

    def condition_on_memory(self, features, memories):
        self.given = self.model.condition_on_memory(features, memories)
        self.own = super().condition_on_memory(features, memories)
        return self.given

    def decode_masks(self, features, embedding_bdhw, prompts, **options):
        own = self.own if embedding_bdhw is self.given else embedding_bdhw
        wanted = self.model.decode_masks(features, embedding_bdhw, prompts, **options)
        found = super().decode_masks(features, own, prompts, **options)
        return self.noted("decode_masks", wanted, found, fields(wanted))

    def use_mask_as_output(self, features, mask_b1hw):
        wanted = self.model.use_mask_as_output(features, mask_b1hw)
        found = super().use_mask_as_output(features, mask_b1hw)
        return self.noted("use_mask_as_output", wanted, found, fields(wanted))

    def noted(self, step, wanted, found, parts):
        for part in parts:
            one, other = getattr(found, part.name), getattr(wanted, part.name)
            if one is None and other is None:
                continue
            worst = (one - other).abs().max().item()
            self.worst[step] = max(self.worst[step], worst)
        return wanted


@pytest.fixture(scope="module")
def wanted_story(bundled_model):
    return whole_story(bundled_model)


def test_a_clip_is_tracked_as_by_the_model(graph_model, wanted_story):
    compare(whole_story(graph_model), wanted_story)


def test_an_object_of_another_picture_is_tracked_as_by_the_model(onnx_model, bundled_model):
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    disc_hw = (rows - DISC[1]) ** 2 + (columns - DISC[0]) ** 2 < 20**2
    found, sessions = [], []
    for model in (onnx_model, bundled_model):
        options = {"fill_hole_area": 0, "memory_dtype": torch.float32}
        session = VideoSession.open(moving_shapes(FEW_FRAMES), model, **options)
        session.reference(moving_shapes(1)[0], disc_hw, 1)
        session.reference(moving_shapes(2)[1], disc_hw, 1)
        session.click(1, 2, DISC)
        found.append(list(session.propagate(0)))
        sessions.append(session)

    compare(*found)
    assert sessions[1].explain(3, 1).weight_of(None) > 0
    with pytest.raises(SessionError, match="export"):
        sessions[0].explain(3, 1)


def test_each_frame_is_answered_as_by_the_model_from_the_same_memories(graph_model, bundled_model):
    forced = Forced(graph_model.graphs, bundled_model)

    whole_story(forced)

    assert set(forced.worst) == {"encode_image", "decode_masks", "use_mask_as_output"}
    assert max(forced.worst.values()) <= FORCED


@pytest.mark.parametrize("policy", ["samurai+distractor", "tree"])
def test_a_policy_chooses_among_the_masks_of_graphs_too(onnx_model, bundled_model, policy):
    ours, wanted = (
        list(few_clicks(model, memory_policy=policy).propagate())
        for model in (onnx_model, bundled_model)
    )

    compare(ours, wanted)


def test_graphs_make_pointers_of_any_candidate(onnx_model, bundled_model):
    token_bd = torch.randn(2, bundled_model.hidden_dim, generator=torch.Generator().manual_seed(1))
    score_b1 = torch.tensor([[1.0], [-1.0]])
    with torch.no_grad():
        wanted = bundled_model.object_pointers(token_bd, score_b1)

    torch.testing.assert_close(onnx_model.object_pointers(token_bd, score_b1), wanted)


def test_a_saved_session_goes_on_with_equal_bits(graph_model, tmp_path):
    session = few_clicks(graph_model)
    first = [result.logits_bhw for result in session.propagate()]
    again = few_clicks(graph_model)
    list(again.propagate(limit=3))
    again.save(tmp_path / "job")

    model = ExportedSam2.from_pretrained(graph_model.name_or_path)
    loaded = VideoSession.load(tmp_path / "job", moving_shapes(FEW_FRAMES), model)

    rest = [result.logits_bhw for result in loaded.propagate(start=3)]
    assert all(map(torch.equal, rest, first[3:]))


def test_a_session_of_the_model_is_not_one_of_its_export(onnx_model, bundled_model, tmp_path):
    few_clicks(bundled_model).save(tmp_path / "job")

    with pytest.raises(SessionError, match="another model"):
        VideoSession.load(tmp_path / "job", moving_shapes(FEW_FRAMES), onnx_model)


def test_sessions_can_be_copied_and_pickled(graph_model):
    session = few_clicks(graph_model)
    copied, unpickled = copy.deepcopy(session), pickle.loads(pickle.dumps(session))
    unpickled.use_model(graph_model)

    wanted = [one.logits_bhw for one in session.propagate(limit=2)]

    for other in (copied, unpickled):
        assert all(map(torch.equal, [r.logits_bhw for r in other.propagate(limit=2)], wanted))


def test_a_live_stream_is_tracked_as_by_the_model(onnx_model, bundled_model):
    def stream(model):
        session = VideoSession.open(None, model)
        frames = moving_shapes(FEW_FRAMES)
        session.step(frames[0])
        session.click(0, 1, DISC)
        return [session.step(frame) for frame in frames[1:]]

    compare(stream(onnx_model), stream(bundled_model))


def test_a_session_says_that_graphs_are_not_compiled(onnx_model):
    session = few_clicks(onnx_model, compile=True)

    with pytest.raises(SessionError, match="compiled already"):
        session.preview(0)


def test_a_photo_pipeline_says_that_graphs_are_not_compiled(onnx_model):
    with pytest.raises(PromptError, match="compiled already"):
        ImageSegmentationPipeline(onnx_model, compile=True)


def test_an_evaluation_describes_an_export(exported, onnx_model, bundled_model):
    loaded = evaluation_model(
        argparse.Namespace(model=str(exported), precision="auto"), torch.device("cpu")
    )

    assert isinstance(loaded.model, ExportedSam2)
    assert loaded.measured.sha256 == onnx_model.fingerprint
    assert loaded.measured.parameters == sum(one.numel() for one in bundled_model.parameters())
    assert loaded.measured.file_bytes == sum(
        path.stat().st_size for path in exported.glob("*.onnx")
    )


def test_photos_are_segmented_as_by_the_model(exported, onnx_model, tmp_path):
    photo, model = moving_shapes(1)[0], load_model("sam2-hiera-micro", device="cpu")
    hint = ObjectPrompt(clicks=(Click((180, 100)), Click((60, 80), positive=False)), box=BLOCK)
    asked = [ObjectPrompt(clicks=(Click(DISC),)), hint, ObjectPrompt(box=BLOCK)]
    ours = ImageSegmentationPipeline(load_model(exported))
    encoded = ours.encode(photo)
    encoded.save(tmp_path / "photo.safetensors")

    for multimask in (True, False):
        found = ours(EncodedImage.load(tmp_path / "photo.safetensors"), asked, multimask=multimask)
        wanted = ImageSegmentationPipeline(model)(photo, asked, multimask=multimask)
        for one, other in zip(found, wanted, strict=True):
            assert np.abs(one.low_res_logits - other.low_res_logits).max() <= FORCED
            assert one.scores == pytest.approx(other.scores, abs=1e-4)
            again = ours(encoded, points=[DISC], mask=one.low_res_logits[:1], multimask=False)
            assert again.masks.shape == (1, HEIGHT, WIDTH)


def test_everything_in_a_photo_is_found_as_by_the_model(onnx_model):
    photo, model = moving_shapes(1)[0], load_model("sam2-hiera-micro", device="cpu")
    options = {"points_per_side": 5, "pred_iou_thresh": 0.1, "stability_score_thresh": 0.2}

    found = list(MaskGenerationPipeline(load_model(onnx_model), **options)(photo))
    wanted = list(MaskGenerationPipeline(model, **options)(photo))

    assert len(found) == len(wanted) > 0
    for one, other in zip(found, wanted, strict=True):
        assert one.predicted_iou == pytest.approx(other.predicted_iou, abs=1e-3)
        assert one.area == pytest.approx(other.area, rel=1e-2)


def test_a_folder_of_graphs_is_loaded_wherever_a_model_is(exported, exported_openvino):
    for load in (load_model, load_video_model):
        for folder in (exported, exported_openvino):
            assert isinstance(load(str(folder)), ExportedSam2)


def test_the_name_of_the_time_of_one_runtime_is_kept():
    assert OnnxSam2 is ExportedSam2


@pytest.mark.parametrize("asked", [{"device": "meta"}, {"dtype": "float16"}])
def test_graphs_cannot_be_moved_or_cast(onnx_model, asked):
    with pytest.raises(ExportError, match="exported graphs"):
        load_video_model(onnx_model, **asked)


def test_one_picture_is_answered_at_a_time(onnx_model):
    with pytest.raises(ExportError, match="one picture at a time"):
        onnx_model(torch.zeros(2, 3, 256, 256), input_points=torch.zeros(2, 1, 1, 2))


def test_the_command_line_takes_a_folder_of_graphs_for_a_model(exported, tmp_path, capsys):
    photo, out = tmp_path / "photo.png", tmp_path / "out"
    frames = moving_shapes(3)
    Image.fromarray(frames[0]).save(photo)
    (tmp_path / "clip").mkdir()
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(tmp_path / "clip" / f"{number:05d}.png")
    common = ["--model", str(exported), "--out", str(out)]

    assert main(["segment", str(photo), "--point", "60,80", *common]) == 0
    prompts = ["--click", "0:1:60,80", "--box", "1:2:152,87,204,131"]
    outputs = ["--outputs", "png,json"]
    assert main(["track", str(tmp_path / "clip"), *prompts, *outputs, *common]) == 0

    assert len(list(out.rglob("*.png"))) >= len(frames)
    assert main(["segment", str(photo), "--point", "60,80", *common, "--dtype", "float16"]) == 2
    assert "exported graphs keep their type" in capsys.readouterr().err
