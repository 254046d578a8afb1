"""One test for each way in which transformers 5.23 goes wrong on images; its places are named."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from seeded_inputs import photo

from sam2_hf import (
    MaskGenerationPipeline,
    Sam2ImageProcessor,
    Sam2Model,
    Sam2Processor,
    Sam2VideoModel,
)
from sam2_hf.model.position_encoding import cell_centers, sine_table
from tests.small_families import sam3_config

SAME = 1e-9  # logits, in float64: the same products, summed in another order


@pytest.fixture(scope="module")
def processor():
    """A processor for the micro model's input size."""
    return Sam2Processor(Sam2ImageProcessor(size={"height": 256, "width": 256}))


@pytest.fixture(scope="module")
def exact_model(micro_model):
    """The micro model in float64, where no rounding hides a real influence."""
    return copy.deepcopy(micro_model).double()


@pytest.fixture(scope="module")
def embeddings(exact_model, processor):
    """Two different pictures, encoded."""
    pictures = [photo(120, 180, 1), photo(120, 180, 2)]
    pixels = processor(images=pictures, return_tensors="pt")["pixel_values"]
    return exact_model.get_image_embeddings(pixels.double())


def ask(model, embeddings, inputs, image=slice(None)):
    """Prompt encoded pictures."""
    tensors = {name: value for name, value in inputs.items() if name != "original_sizes"}
    with torch.inference_mode():
        return model(image_embeddings=[level[image] for level in embeddings], **tensors)


def test_everything_mode_clicks_on_all_of_a_tall_picture():
    """The grid keeps the aspect although the picture is squashed: image_processing_sam2.py:266."""
    image_processor = Sam2ImageProcessor()

    _, points, _, _ = image_processor.generate_crop_boxes(photo(900, 600, 1), 1024)

    places = points.reshape(-1, 2)
    assert places.min(dim=0).values.tolist() == pytest.approx([16, 16])
    assert places.max(dim=0).values.tolist() == pytest.approx([1008, 1008])


@pytest.mark.parametrize(
    ("option", "pixel"), [("max_hole_area", (4, 4)), ("max_sprinkle_area", (12, 12))]
)
def test_holes_and_speckles_are_really_repaired(processor, option, pixel):
    """Both options are accepted and ignored: image_processing_sam2.py:638."""
    logits = torch.full((1, 1, 16, 16), -5.0)
    logits[..., 1:9, 1:9] = 5.0
    logits[..., 4, 4] = -5.0
    logits[..., 12, 12] = 5.0

    before = processor.post_process_masks([logits], [[16, 16]])[0][0, 0]
    after = processor.post_process_masks([logits], [[16, 16]], **{option: 2})[0][0, 0]

    assert after[pixel] != before[pixel]
    assert (before != after).sum() == 1


def test_a_longer_prompt_beside_it_does_not_change_an_answer(exact_model, processor, embeddings):
    """Padding tokens are attended to: modeling_sam2.py:733, there 0.1 % of a mask."""
    short, long = [[90, 60]], [[20, 30], [150, 100], [70, 80]]
    sizes = [[120, 180]] * 2
    both = processor(
        original_sizes=sizes, input_points=[[short], [long]], input_labels=[[[1]], [[1, 0, 1]]],
        return_tensors="pt",
    )  # fmt: skip
    alone = processor(original_sizes=sizes[:1], input_points=[[short]], return_tensors="pt")

    together = ask(exact_model, embeddings, both).pred_masks[:1]
    by_itself = ask(exact_model, embeddings, alone, slice(0, 1)).pred_masks

    torch.testing.assert_close(together, by_itself, atol=SAME, rtol=0)


@pytest.mark.parametrize("kind", ["input_points", "input_boxes"])
def test_images_with_different_numbers_of_objects_get_their_own_masks_only(
    exact_model, processor, embeddings, kind
):
    """Boxes raise, points return masks for objects that are not there: processing_sam2.py:147."""
    one, two = {
        "input_points": ([[[50, 60]]], [[[20, 30]], [[150, 100]]]),
        "input_boxes": ([[10, 10, 90, 80]], [[5, 5, 60, 70], [90, 20, 170, 110]]),
    }[kind]
    inputs = processor(original_sizes=[[120, 180]] * 2, return_tensors="pt", **{kind: [one, two]})

    answer = ask(exact_model, embeddings, inputs)
    masks = processor.post_process_masks(
        answer.pred_masks, inputs["original_sizes"], num_objects=processor.count_objects(inputs)
    )

    assert [m.shape[0] for m in masks] == [1, 2]
    assert not (answer.pred_masks[0, 1] > 0).any()
    assert answer.iou_scores[0, 1].eq(0).all()


def test_every_object_may_have_a_mask_prompt_of_its_own(exact_model, processor, embeddings):
    """One mask per image at most, none in the processor: RuntimeError in modeling_sam2.py:820."""
    points = [[[50, 60]], [[120, 80]]]
    masks = 8 * torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))
    both = processor(
        original_sizes=[[120, 180]], input_points=[points], input_masks=[masks], return_tensors="pt"
    )
    second = processor(
        original_sizes=[[120, 180]],
        input_points=[points[1:]],
        input_masks=[masks[1:]],
        return_tensors="pt",
    )

    together = ask(exact_model, embeddings, both, slice(0, 1)).pred_masks[:, 1:]
    alone = ask(exact_model, embeddings, second, slice(0, 1)).pred_masks

    torch.testing.assert_close(together, alone, atol=SAME, rtol=0)


def test_a_click_and_a_box_of_one_object_work_together(exact_model, processor, embeddings):
    """On video this raises UnboundLocalError: modeling_sam2_video.py:2033."""
    inputs = processor(
        original_sizes=[[120, 180]], input_points=[[[[50, 60]]]], input_boxes=[[[10, 10, 90, 80]]],
        return_tensors="pt",
    )  # fmt: skip

    assert ask(exact_model, embeddings, inputs, slice(0, 1)).pred_masks.shape == (1, 1, 3, 64, 64)


def test_everything_mode_has_the_originals_defaults_and_fields(micro_model, processor):
    """0.88 for 0.8, and neither area nor stability nor point nor crop: mask_generation.py:256."""
    generate = MaskGenerationPipeline(micro_model, processor)
    loose = {"points_per_side": 2, "pred_iou_thresh": 0.0, "stability_score_thresh": 0.0}

    records = MaskGenerationPipeline(micro_model, processor, **loose).generate(photo(60, 90, 1))

    assert (generate.options.pred_iou_thresh, generate.options.stability_score_thresh) == (
        0.8,
        0.95,
    )
    fields = "segmentation area bbox predicted_iou point_coords stability_score crop_box"
    assert set(records[0]) == set(fields.split())


def test_position_tables_are_rounded_once_in_bfloat16():
    """Computed in bfloat16 they are off by 0.028: modeling_sam2_video.py:397."""
    exact = sine_table(64, 64, 256, torch.device("cpu"), torch.float32)
    rounded = sine_table(64, 64, 256, torch.device("cpu"), torch.bfloat16)

    assert (exact - rounded.float()).abs().max() < 0.004


def test_a_picture_is_resized_in_float_unless_the_rounding_is_asked_for():
    """Bytes are resized to bytes, rows and columns one after the other: up to a gray level off."""
    picture = photo(90, 70, 1)
    size = {"height": 64, "width": 64}
    mean, scale = (
        255 * torch.tensor(numbers)[:, None, None]
        for numbers in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    )

    exact, rounded = (
        Sam2ImageProcessor(size=size, compat=compat)(picture, return_tensors="pt")["pixel_values"]
        for compat in ("official", "transformers")
    )

    gray_levels = rounded * scale + mean
    assert 0.05 < ((exact - rounded) * scale).abs().max() <= 1
    assert (gray_levels - gray_levels.round()).abs().max() < 1e-3


def test_nothing_needs_torchvision():
    """The processor imports it at its top: image_processing_sam2.py:28."""
    program = (
        "import sys; sys.modules['torchvision'] = None\n"
        "from sam2_hf import Sam2ImageProcessor, Sam2Model, MaskGenerationPipeline\n"
        "import numpy as np\n"
        "Sam2ImageProcessor()(np.zeros((8, 8, 3), np.uint8), return_tensors='pt')"
    )

    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_the_callers_prompts_stay_as_they_are(processor):
    """Nested lists are padded in place, a list of masks is overwritten: processing_sam2.py:300."""
    points, labels = [[[[5, 6]]], [[[1, 2], [3, 4]]]], [[[1]], [[1, 0]]]
    masks = [np.zeros((1, 1, 8, 8), np.float32)]

    processor(
        original_sizes=[[9, 9]] * 2, input_points=points, input_labels=labels, return_tensors="pt"
    )
    processor.post_process_masks(masks, [[9, 9]])

    assert points == [[[[5, 6]]], [[[1, 2], [3, 4]]]]
    assert labels == [[[1]], [[1, 0]]]
    assert isinstance(masks[0], np.ndarray)


def test_positions_of_the_image_are_computed_once(exact_model, processor, embeddings, monkeypatch):
    """36 times in a short run: modeling_sam2.py:1411."""
    calls = []
    monkeypatch.setattr(  # not a hook, for which the module would be called every time
        "sam2_hf.model.promptable_model.cell_centers",
        lambda *grid: calls.append(1) or cell_centers(*grid),
    )
    inputs = processor(
        original_sizes=[[120, 180]], input_points=[[[[50, 60]]]], return_tensors="pt"
    )

    for _ in range(3):
        ask(exact_model, embeddings, inputs, slice(0, 1))

    assert len(calls) <= 1


def test_the_trunk_computes_no_attention_that_nobody_reads(micro_model):
    """Scores and softmax of every block are thrown away: modeling_sam2.py:333."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        micro_model.get_image_embeddings(torch.zeros(1, 3, 256, 256))

    names = {event.key for event in profile.key_averages()}
    assert "aten::scaled_dot_product_attention" in names
    assert not names & {"aten::softmax", "aten::_softmax", "aten::bmm"}


def test_a_video_checkpoint_is_read_without_a_warning(micro_model, tmp_path, caplog):
    """Every load of a published checkpoint warns of its model type: configuration_utils.py:899."""
    from transformers.utils import logging

    micro_model.save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text().replace('"sam2"', '"sam2_video"')
    (tmp_path / "config.json").write_text(config)
    logging.enable_propagation()

    Sam2Model.from_pretrained(tmp_path)

    logging.disable_propagation()
    assert not caplog.records


def test_a_palette_picture_means_its_colors():
    """Indices of the palette are taken for gray levels where nobody converts the picture."""
    colors = np.zeros((6, 6, 3), np.uint8)
    colors[:3] = (200, 30, 90)
    palette = Image.fromarray(colors).quantize(4)
    processor = Sam2ImageProcessor(size={"height": 32, "width": 32})

    as_palette, as_colors = (
        processor(image, return_tensors="pt")["pixel_values"] for image in (palette, colors)
    )

    torch.testing.assert_close(as_palette, as_colors, atol=0.1, rtol=0)


@torch.no_grad()
def test_an_image_without_memory_is_marked_as_such_for_sam_3_too():
    """Theirs marks a fourth map, which it then drops: modeling_sam3_tracker.py:1007, and :843."""
    model = Sam2Model.from_video_model(Sam2VideoModel(sam3_config())).eval()
    pixels = torch.randn(1, 3, model.image_size, model.image_size)
    before = model.get_image_embeddings(pixels)[-1]

    model.no_memory_embedding.add_(1.0)

    after = model.get_image_embeddings(pixels)[-1]
    assert torch.allclose(after, before + 1, atol=1e-5)
