"""The photos of a call: one, a list, or a stream."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers.pipelines.pt_utils import KeyDataset

from sam2_hf import ImageError, ImageSegmentationPipeline, MaskGenerationPipeline, PromptError
from sam2_hf.errors import OptionError
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.image_prompts import SegmentationResult


class Photos(Dataset):
    """Photos that note which of them were read."""

    def __init__(self, photos):
        self.photos = photos
        self.read = []

    def __len__(self):
        return len(self.photos)

    def __getitem__(self, place):
        self.read.append(place)
        return self.photos[place % len(self.photos)]  # no IndexError at the end


class Stream(IterableDataset):
    """Photos without a length."""

    def __init__(self, photos):
        self.photos = photos

    def __iter__(self):
        return iter(self.photos)


@pytest.fixture
def everything(tiny_model):
    return MaskGenerationPipeline(
        tiny_model, points_per_side=2, pred_iou_thresh=0.0, stability_score_thresh=0.0
    )


@pytest.fixture
def segment(tiny_model):
    return ImageSegmentationPipeline(tiny_model)


@pytest.fixture
def photos(wide):
    return [np.ascontiguousarray(np.roll(wide, 7 * number, axis=1)) for number in range(5)]


def same(one, other):
    return [mask.rle for mask in one] == [mask.rle for mask in other]


def in_base64(photo, kind):
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, kind)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.mark.parametrize(
    "make",
    [list, tuple, np.stack, lambda photos: torch.from_numpy(np.stack(photos))],
    ids=["list", "tuple", "array", "tensor"],
)
def test_several_photos_give_a_list(everything, photos, make):
    found = everything(make(photos))

    assert isinstance(found, list)
    assert all(same(one, everything(photo)) for one, photo in zip(found, photos, strict=True))


def test_an_array_of_one_photo_gives_a_list_of_one(everything, photos):
    """As a node of ComfyUI hands it on: `(1, height, width, 3)`, floats 0-1."""
    tensor = torch.from_numpy(photos[0])[None] / 255

    (found,) = everything(tensor)

    assert same(found, everything(tensor[0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda photos: (photo for photo in photos),
        iter,
        lambda photos: map(np.asarray, photos),
        Photos,
        Stream,
        lambda photos: KeyDataset(Photos([{"image": photo} for photo in photos]), "image"),
        lambda photos: DataLoader(Photos(photos), batch_size=None, collate_fn=lambda one: one),
    ],
    ids=["generator", "iterator", "map", "Dataset", "IterableDataset", "KeyDataset", "DataLoader"],
)
@pytest.mark.parametrize("batch_size", [None, 2])
def test_a_stream_of_photos_gives_a_stream_of_results(everything, photos, make, batch_size):
    found = list(everything(make(photos), batch_size=batch_size))

    assert all(same(one, everything(photo)) for one, photo in zip(found, photos, strict=True))


def test_a_stream_is_read_when_results_are_asked_for(everything, photos):
    data = Photos(photos)

    stream = everything(data)

    assert (len(stream), data.read) == (5, [])
    assert isinstance(next(stream), GeneratedMasks)
    assert data.read == [0]
    next(stream)
    assert data.read == [0, 1]
    assert len(list(stream)) == 5  # a loop starts from the beginning, as with transformers


def test_an_endless_generator_is_no_trouble(everything, wide):
    def endless():
        while True:
            yield wide

    stream = everything(endless(), batch_size=2)

    assert [len(next(stream)) for _ in range(3)] == [len(everything(wide))] * 3
    with pytest.raises(TypeError):
        len(stream)


def test_workers_read_a_data_set_ahead(everything, photos):
    found = list(everything(Photos(photos), num_workers=1))

    assert all(same(one, everything(photo)) for one, photo in zip(found, photos, strict=True))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_photo_may_be_base64_text(everything, wide, kind):
    text = in_base64(wide, kind)
    stored = Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")

    assert same(everything(text), everything(stored))
    assert same(everything(f"data:image/{kind.lower()};base64,{text}"), everything(stored))


def test_text_that_is_no_base64_is_a_path(everything):
    for text in ("none.png", "/9j/none.jpg", "QkQk", "iVBORw0KGgo"):
        with pytest.raises(ImageError, match="there is no image file"):
            everything(text)


def test_damaged_base64_is_an_error_of_ours(everything, wide):
    with pytest.raises(ImageError, match="cannot be read as an image"):
        everything(in_base64(wide, "PNG")[:200])


def test_what_is_no_photo_is_named(everything):
    for wrong in (5, None, b"bytes", {"image": 3}):
        with pytest.raises(ImageError, match="cannot make an image from"):
            everything(wrong)


def test_a_stream_of_photos_takes_a_stream_of_prompts(segment, photos):
    boxes = [np.array([[5, 5, 40, 40], [1, 1, 9, 9]]), np.zeros((0, 4)), np.array([[2, 2, 9, 9]])]

    found = list(segment(iter(photos[:3]), boxes=iter(boxes), batch_size=2))

    assert [len(one) for one in found] == [2, 0, 1]
    expected = segment(photos[2], box=(2, 2, 9, 9))
    assert np.array_equal(found[2][0].masks, expected.masks)


def test_a_stream_with_fewer_prompts_than_photos_says_so(segment, photos):
    stream = segment(Photos(photos), objects=[{"points": (3, 3)}] * 2)

    assert isinstance(next(stream), SegmentationResult)
    with pytest.raises(PromptError, match="more than 2 photos and 2 entries of prompts"):
        list(stream)
    with pytest.raises(PromptError, match="5 photos and more entries"):
        list(segment(Photos(photos), objects=[{"points": (3, 3)}] * 6))


def test_a_stream_with_a_list_of_prompts_may_be_gone_through_again(segment, photos):
    stream = segment(Photos(photos[:2]), objects=[{"points": (3, 3)}] * 2)

    assert len(list(stream)) == len(list(stream)) == 2


@pytest.mark.parametrize("prompts", [{}, {"points": (3, 3)}, {"objects": {"cup": {}}}])
def test_a_stream_without_a_prompt_for_each_photo_is_refused_at_once(segment, photos, prompts):
    with pytest.raises(PromptError, match=r"several photos"):
        segment(iter(photos), **prompts)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"point": (3, 3)}, "Did you mean points?"),
        ({"points": (3, 3), "multi_mask": False}, "Did you mean multimask?"),
        ({"points": (3, 3), "batchsize": 3}, "Did you mean batch_size?"),
    ],
)
def test_a_misspelled_argument_of_a_call_is_named(segment, wide, arguments, message):
    with pytest.raises(OptionError, match=message):
        segment(wide, **arguments)
