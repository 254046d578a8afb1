"""`pipeline` and `register`."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

import sam2_hf
from sam2_hf import (
    ImageSegmentationPipeline,
    MaskGenerationPipeline,
    PromptError,
    Sam2ImageProcessor,
    Sam2Processor,
)
from sam2_hf.pipelines.registry import TASKS
from sam2_hf.pipelines.transformers_pipeline import BatchedMaskGenerationPipeline

LOOSE = {"pred_iou_thresh": 0.1, "stability_score_thresh": 0.0, "points_per_crop": 4}

AFTER_REGISTER = """
import sys
import numpy as np
from PIL import Image
from transformers import (
    AutoConfig, AutoImageProcessor, AutoModel, AutoModelForMaskGeneration, AutoProcessor, pipeline
)
from transformers.utils import logging
import sam2_hf

logging.disable_progress_bar()
folder = sys.argv[1]
autos = (AutoConfig, AutoModel, AutoModelForMaskGeneration, AutoImageProcessor, AutoProcessor)
sam2_hf.register()
sam2_hf.register()
for auto in autos:
    print(type(auto.from_pretrained(folder)).__module__)
everything = pipeline("mask-generation", model=folder)
print(type(everything.model).__module__)
masks = everything(Image.fromarray(np.zeros((30, 50, 3), np.uint8)), points_per_crop=2)
print(sorted(masks))
"""

AFTER_REGISTER_VIDEO = """
import sys
import numpy as np
from PIL import Image
from transformers import (
    AutoConfig, AutoImageProcessor, AutoModel, AutoModelForMaskGeneration, AutoProcessor, pipeline
)
from transformers.models.auto.video_processing_auto import AutoVideoProcessor
from transformers.utils import logging
import sam2_hf

logging.disable_progress_bar()
folder = sys.argv[1]
sam2_hf.register()
for auto in (
    AutoConfig, AutoModel, AutoModelForMaskGeneration, AutoImageProcessor, AutoVideoProcessor,
    AutoProcessor,
):
    kind = type(auto.from_pretrained(folder))
    print(kind.__module__.split(".")[0], kind.__name__)
everything = pipeline("mask-generation", model=folder)
print(type(everything.model).__module__.split(".")[0], type(everything.model).__name__)
masks = everything(Image.fromarray(np.zeros((30, 50, 3), np.uint8)), points_per_crop=2)
print(sorted(masks))
model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
session = processor.init_video_session(np.zeros((3, 30, 50, 3), np.uint8))
processor.add_inputs_to_inference_session(
    session, frame_idx=0, obj_ids=1, input_points=[[[[9, 9]]]], input_labels=[[[1]]]
)
print([output.frame_idx for output in model.propagate_in_video_iterator(session)])
"""


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("mask-generation", MaskGenerationPipeline),
        ("image-segmentation", ImageSegmentationPipeline),
        ("promptable-image-segmentation", ImageSegmentationPipeline),
    ],
)
def test_an_image_task_is_a_pipeline_of_ours(saved_model, task, kind):
    made = sam2_hf.pipeline(task, model=saved_model)

    assert type(made) is kind
    assert type(made.model) is sam2_hf.Sam2Model


@pytest.mark.parametrize("task", ["video-segmentation", "promptable-video-segmentation"])
def test_a_video_task_is_a_pipeline_of_ours(saved_video_model, task):
    made = sam2_hf.pipeline(task, saved_video_model, device="cpu", compat="official")

    assert type(made) is sam2_hf.VideoSegmentationPipeline
    assert type(made.model) is sam2_hf.Sam2VideoModel
    assert made.options == sam2_hf.SessionOptions.preset("official")


@pytest.mark.parametrize(
    ("task", "fixture", "needed"),
    [
        ("video-segmentation", "tiny_model", "Sam2VideoModel"),
        ("mask-generation", "tiny_video_model", "Sam2Model"),
    ],
)
def test_a_model_of_the_other_kind_is_refused(request, task, fixture, needed):
    with pytest.raises(PromptError, match=f"a {needed} is needed"):
        sam2_hf.pipeline(task, request.getfixturevalue(fixture))


def test_a_video_pipeline_has_no_image_processor(tiny_video_model):
    with pytest.raises(PromptError, match="a video pipeline has no image_processor"):
        sam2_hf.pipeline("video-segmentation", tiny_video_model, image_processor="here")


def test_a_model_and_a_processor_may_be_given(tiny_model, wide):
    processor = Sam2ImageProcessor(compat="transformers")

    made = sam2_hf.pipeline(
        "image-segmentation", tiny_model, image_processor=processor, device="cpu"
    )

    assert made.model is tiny_model
    assert made(wide, points=(1, 1)).masks.shape == (3, 60, 120)


def test_a_processor_may_be_named_by_its_folder(tiny_model, saved_model):
    made = sam2_hf.pipeline("mask-generation", tiny_model, image_processor=saved_model)

    assert made._encoder.processor.size["height"] == 64


def test_options_reach_the_pipeline(saved_model):
    made = sam2_hf.pipeline("mask-generation", saved_model, points_per_side=3, dtype="bfloat16")

    assert made.options.points_per_side == 3
    assert made.model.dtype == torch.bfloat16


def test_an_unknown_task_is_named(tiny_model):
    with pytest.raises(PromptError, match="no task 'mask-making'"):
        sam2_hf.pipeline("mask-making", tiny_model)


def test_transformers_own_pipeline_runs_on_our_objects(micro_model, wide):
    """On a photo that is not square, where its own processor never clicks on a part."""
    processor = Sam2ImageProcessor(size={"height": 256, "width": 256})
    theirs = transformers.pipeline("mask-generation", model=micro_model, image_processor=processor)

    result = theirs(Image.fromarray(wide), crops_nms_thresh=1.0, **LOOSE)

    ours = MaskGenerationPipeline(micro_model, processor)(wide, crops_nms_thresh=1.0, **LOOSE)
    assert len(result["masks"]) == len(ours) > 10
    for mask, record in zip(result["masks"], ours, strict=True):
        assert np.mean(np.asarray(mask) != record.segmentation) < 0.001


AFTER_REGISTER_BATCH = """
import sys
import numpy as np
from PIL import Image
from transformers import MaskGenerationPipeline, SamModel, pipeline
from transformers.utils import logging
import sam2_hf

logging.disable_progress_bar()
sam2_hf.register()
photos = [Image.fromarray(np.roll(np.eye(64, dtype=np.uint8) * 255, 9 * i)) for i in range(3)]
everything = pipeline("mask-generation", model=sys.argv[1])
assert isinstance(everything, MaskGenerationPipeline)
options = {"points_per_crop": 3, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}
alone = [everything(photo, **options) for photo in photos]
for batch_size in (2, 3):
    together = everything(photos, batch_size=batch_size, **options)
    for one, other in zip(alone, together, strict=True):
        assert len(one["masks"]) == len(other["masks"]) > 0
        assert one["scores"].equal(other["scores"])
        assert all(np.array_equal(a, b) for a, b in zip(one["masks"], other["masks"]))
print("equal")
"""

AFTER_REGISTER_OWN = """
import transformers
from transformers.models.sam3_video.modeling_sam3_video import Sam3VideoModel
import sam2_hf

sam2_hf.register()
small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2}
small |= {"num_hidden_layers": 1, "num_layers": 1}
vision = {
    "model_type": "sam3_vision_model",
    "fpn_hidden_size": 32,
    "backbone_config": {**small, "model_type": "sam3_vit_model", "global_attn_indexes": [0],
                        "image_size": 112, "pretrain_image_size": 112},
}
detector = {name: small for name in (
    "geometry_encoder_config", "detr_encoder_config", "detr_decoder_config", "mask_decoder_config",
)}
detector |= {"vision_config": vision, "text_config": {**small, "projection_dim": 32,
             "vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}}
tracker = {"vision_config": vision, "memory_attention_num_layers": 1}
whole = transformers.Sam3VideoConfig(detector_config=detector, tracker_config=tracker)
model = Sam3VideoModel(whole)
parts = [model, whole.tracker_config, model.tracker_model]
parts += [config().vision_config for config in (
    transformers.Sam2Config, transformers.Sam2VideoConfig, transformers.EdgeTamVideoConfig,
)]
print({type(part).__module__.split(".")[0] for part in parts}, model.tracker_model.vision_encoder)
"""

ONE_AFTER_THE_OTHER = """
import sys
for folder, code in zip(sys.argv[1::2], sys.argv[2::2]):
    sys.argv = ["", folder]
    exec(code, {})
    print("---")
"""


@pytest.fixture(scope="module")
def said_after_register(tiny_model, tiny_video_model, video_processor, tmp_path_factory):
    """What a process that calls `register` says of images, of batches and of videos."""
    image, video = (tmp_path_factory.mktemp(name) for name in ("image", "video"))
    tiny_model.save_pretrained(image)
    Sam2Processor(video_processor.image_processor).save_pretrained(image)
    tiny_video_model.save_pretrained(video)
    video_processor.save_pretrained(video)
    command = [sys.executable, "-c", ONE_AFTER_THE_OTHER, image, AFTER_REGISTER]
    command += [image, AFTER_REGISTER_BATCH, video, AFTER_REGISTER_VIDEO]
    command += [image, AFTER_REGISTER_OWN]

    done = subprocess.run(command, capture_output=True, check=False, text=True)

    assert done.returncode == 0, done.stderr
    return [part.splitlines() for part in done.stdout.split("---\n")]


def test_after_register_the_auto_classes_are_ours(said_after_register):
    *modules, keys = said_after_register[0]
    assert all(module.startswith("sam2_hf.") for module in modules), modules
    assert keys == "['masks', 'scores']"


def test_after_register_transformers_pipeline_takes_a_batch_size(said_after_register):
    """Its own fails, or for other models answers for the first photo of a batch alone."""
    assert said_after_register[1] == ["equal"]


def test_after_register_models_of_transformers_keep_their_own_parts(said_after_register):
    """Its SAM 3 builds its tracker without an image encoder."""
    assert said_after_register[3] == ["{'transformers'} None"]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_hole_area": 9, "max_sprinkle_area": 9, "mask_threshold": 0.3},
        {"crops_n_layers": 1, "stability_score_thresh": 0.3, "stability_score_offset": 2},
        {"pred_iou_thresh": 1.0},
    ],
    ids=str,
)
def test_the_registered_pipeline_gives_what_transformers_own_gives(micro_model, wide, options):
    """To the bit, though it never holds the masks of several clicks at the size of the photo."""
    processor = Sam2ImageProcessor(size={"height": 256, "width": 256})
    kinds = (transformers.MaskGenerationPipeline, BatchedMaskGenerationPipeline)
    theirs, ours = (
        kind(model=micro_model, image_processor=processor, device=-1)(
            Image.fromarray(wide), output_bboxes_mask=True, **{**LOOSE, **options}
        )
        for kind in kinds
    )

    assert theirs.keys() == ours.keys()
    assert theirs["scores"].equal(ours["scores"])
    assert theirs["bounding_boxes"].equal(ours["bounding_boxes"])
    assert all(a.equal(b) for a, b in zip(theirs["masks"], ours["masks"], strict=True))


def test_without_register_a_batch_size_is_refused_with_the_way_out(micro_model, wide):
    processor = Sam2ImageProcessor(size={"height": 256, "width": 256})
    theirs = transformers.pipeline("mask-generation", model=micro_model, image_processor=processor)
    photos = [Image.fromarray(wide)] * 2

    with pytest.raises(ValueError, match=r"Call sam2_hf.register\(\) before"):
        theirs(photos, batch_size=2, **LOOSE)


def test_after_register_a_video_checkpoint_is_a_video_model_and_an_image_model(said_after_register):
    *names, masks, outputs = said_after_register[2]
    wanted = ["VideoConfig", "VideoModel", "Model", "ImageProcessor", "VideoVideoProcessor"]
    wanted += ["VideoProcessor", "Model"]
    assert names == [f"sam2_hf Sam2{name}" for name in wanted]
    assert (masks, outputs) == ("['masks', 'scores']", "[0, 1, 2]")


@pytest.mark.parametrize("task", TASKS)
def test_a_pipeline_tells_what_it_is_as_in_transformers(task, tiny_model, tiny_video_model):
    model = copy.deepcopy(tiny_video_model if "video" in task else tiny_model)
    made = sam2_hf.pipeline(task, model)
    before = made.device, made.dtype, made.torch_dtype

    model.bfloat16()

    assert (made.task, made.framework) == (task, "pt")
    assert before == (torch.device("cpu"), torch.float32, torch.float32)
    assert made.dtype == torch.bfloat16


def test_a_pipeline_of_its_class_has_the_task_of_the_class(tiny_model):
    assert ImageSegmentationPipeline(tiny_model).task == "image-segmentation"
    assert MaskGenerationPipeline(tiny_model).task == "mask-generation"
