import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf.errors import ImageError
from sam2_hf.processing.label_maps import label_maps, resize_label_map, to_label_map

LABELS = np.array([[0, 1, 2], [255, 1, 0]], dtype=np.uint8)


@pytest.mark.parametrize(
    "label_map",
    [LABELS, LABELS[None], LABELS[..., None], torch.from_numpy(LABELS), LABELS.astype(float)],
)
def test_maps_of_any_kind_hold_whole_numbers(label_map):
    assert to_label_map(label_map).dtype == torch.int64
    assert to_label_map(label_map).tolist() == LABELS.tolist()


def test_a_palette_image_gives_its_indices_not_its_colors():
    image = Image.fromarray(LABELS).convert("P")
    image.putpalette([9, 9, 9] * 256)

    assert to_label_map(image).tolist() == LABELS.tolist()


def test_a_map_is_read_from_a_file(tmp_path):
    Image.fromarray(LABELS).save(tmp_path / "map.png")

    assert to_label_map(tmp_path / "map.png").tolist() == LABELS.tolist()


def test_resizing_invents_no_label():
    labels = torch.randint(0, 5, (40, 30)) * 1_000_000_007

    resized = resize_label_map(labels, (17, 63))

    assert resized.shape == (17, 63)
    assert set(resized.unique().tolist()) <= set(labels.unique().tolist())


def test_a_stack_is_one_map_per_image():
    assert len(label_maps(np.stack([LABELS, LABELS]), 2, None)) == 2
    assert label_maps([LABELS], 1, (4, 4))[0].shape == (4, 4)


def test_a_wrong_number_of_maps_is_refused():
    with pytest.raises(ImageError, match=r"1 segmentation map\(s\) for 2 image"):
        label_maps([LABELS], 2, None)


def test_a_color_picture_is_no_map():
    with pytest.raises(ImageError, match="one label per pixel"):
        to_label_map(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize("bad", [0.5, float("nan"), float("inf")])
def test_parts_of_numbers_are_no_labels(bad):
    labels = LABELS.astype(np.float32)
    labels[0, 0] = bad

    with pytest.raises(ImageError, match="not whole numbers"):
        to_label_map(labels)
