"""Folders that segment photos: what lies in them, their README, what can be wrong."""

import hashlib
import json
import shutil
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

from sam2_hf import Sam2ImageProcessor, Sam2VideoConfig
from sam2_hf.errors import ExportError
from sam2_hf.export.parity import moving_shapes
from sam2_hf.export.photo_folder import ABOUT, PhotoFolder, export_photo
from sam2_hf.export.photo_graphs import DECODER, photo_graphs

FORMAT = "torchscript"  # the quickest to write


@pytest.fixture
def folder(photo_export, tmp_path):
    """A copy of an export to be damaged."""
    return shutil.copytree(photo_export(FORMAT), tmp_path / "export")


def describe(folder, **fields):
    about = json.loads((folder / ABOUT).read_text()) | fields
    (folder / ABOUT).write_text(json.dumps(about))


def refuse(folder, words):
    with pytest.raises(ExportError, match=words) as caught:
        PhotoFolder(folder)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600


def test_config_and_processor_lie_beside_the_graphs(folder, small_model):
    config = Sam2VideoConfig.from_pretrained(folder)

    assert config.num_maskmem == small_model.config.num_maskmem
    assert Sam2ImageProcessor.from_pretrained(folder).size == {"height": 64, "width": 64}


def test_the_code_of_the_readme_segments_a_photo(folder, small_model, monkeypatch):
    Image.fromarray(moving_shapes(1)[0]).save(folder / "photo.jpg")
    monkeypatch.chdir(folder)
    names = {}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # those of PyTorch about its own insides
        exec((folder / "README.md").read_text().split("```python\n")[1].split("```")[0], names)

    decoder = next(one.module for one in photo_graphs(small_model) if one.name == DECODER)
    point, label = torch.tensor([[[32.0, 32.0]]]), torch.tensor([[1]])
    with torch.no_grad():
        wanted = decoder(*names["maps"], point, label, *names["no_mask"])
    assert (names["logits"] - wanted[0]).abs().max() <= 1e-4 * wanted[0].abs().max()
    assert (names["mask"].shape, names["mask"].dtype) == ((180, 240), torch.bool)
    pixels = Sam2ImageProcessor.from_pretrained(folder)(names["photo"], return_tensors="np")
    ours = names["normal"].permute(2, 0, 1).numpy()
    assert np.abs(pixels["pixel_values"][0] - ours).max() < 0.05  # of a gray level's 0.018


def test_an_unknown_format_is_refused(small_model, tmp_path):
    with pytest.raises(ExportError, match=r"no format 'onnx'\. Choose torch-export, aotinductor"):
        export_photo(small_model, tmp_path / "out", "onnx")


def test_what_is_no_export_is_not_replaced(small_model, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")

    with pytest.raises(ExportError, match="something other"):
        export_photo(small_model, tmp_path, FORMAT)
    assert (tmp_path / "letter.txt").read_text() == "dear"


def test_a_folder_without_a_graph_is_refused(folder):
    (folder / "mask_decoder.pt").unlink()

    refuse(folder, r"has no mask_decoder\.pt")


def test_a_truncated_graph_is_refused(folder):
    path = folder / "image_encoder.pt"
    path.write_bytes(path.read_bytes()[:-1])

    refuse(folder, r"image_encoder\.pt is truncated, changed, or of another export")


def test_a_graph_under_the_name_of_another_is_refused(folder):
    shutil.copyfile(folder / "mask_decoder.pt", folder / "image_encoder.pt")

    refuse(folder, "of another export")


def test_a_file_that_cannot_be_opened_is_one_line(folder):
    (folder / "image_encoder.pt").write_bytes(b"no archive")
    files = json.loads((folder / ABOUT).read_text())["files"]
    describe(folder, files=files | {"image_encoder.pt": hashlib.sha256(b"no archive").hexdigest()})

    refuse(folder, r"image_encoder\.pt cannot be opened by TorchScript")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"format": "no-such"}, "there is no format 'no-such'"),
        ({"files": None}, "its files is missing or wrong"),
        ({"image_size": "64"}, "its image_size is missing or wrong"),
    ],
)
def test_a_description_that_cannot_be_used_is_refused(folder, fields, words):
    describe(folder, **fields)

    refuse(folder, words)


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_description_is_refused(folder, content):
    (folder / ABOUT).write_text(content)

    refuse(folder, r"export\.json can")


def test_a_folder_of_anything_else_is_refused(tmp_path):
    refuse(tmp_path, r"has no export\.json")
