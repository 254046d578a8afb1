"""CVAT's annotations as prompts, and masks back to CVAT."""

from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from skimage import data

from examples.refine_cvat import main, read_cvat
from sam2_hf import pipeline
from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL
from sam2_hf.results.cvat import write_cvat
from tests.results.readers import SIZE, objects, plain_mask, ring_mask

TASK = """<annotations><version>1.1</version>
<image id="0" name="cups/coffee.png" width="600" height="400">
<box label="cup" source="manual" xtl="170" ytl="20" xbr="420" ybr="350" z_order="0"/>
<points label="spoon" points="360,290;380,310" z_order="0"/>
<polygon label="plate" points="150,80;460,80;460,360;150,360" z_order="0"/>
<tag label="nice"/>
</image>
<image id="1" name="cups/empty.png" width="600" height="400"/>
</annotations>"""


def test_masks_that_were_saved_for_cvat_come_back_as_prompts(tmp_path):
    path = write_cvat(tmp_path / "street.xml", "street.png", SIZE, objects())

    (image,) = read_cvat(path)

    assert (image.name, image.size) == ("street.png", SIZE)
    assert image.labels == ("truck & co", "object")
    for prompt, mask in zip(image.prompts, [ring_mask(), plain_mask()], strict=True):
        np.testing.assert_array_equal(np.asarray(prompt.mask) > 0, mask)


@pytest.mark.usefixtures("one_thread")
def test_every_kind_of_annotation_becomes_the_mask_of_the_pipeline(tmp_path):
    (tmp_path / "cups").mkdir()
    for name in ("coffee", "empty"):
        Image.fromarray(data.coffee()).save(tmp_path / f"cups/{name}.png")
    (tmp_path / "task.xml").write_text(TASK)
    out = tmp_path / "refined.xml"

    options = ["--photos", str(tmp_path), "--out", str(out), "--model", SMALL_MODEL]
    status = main([str(tmp_path / "task.xml"), *options])

    assert status == 0
    segment = pipeline("image-segmentation", model=SMALL_MODEL)
    photo = segment.encode(data.coffee())
    inside = np.zeros((400, 600), bool)
    inside[80:360, 150:460] = True
    expected = {
        "cup": segment(photo, box=(170, 20, 420, 350), multimask=False).best,
        "spoon": segment(photo, points=[(360, 290), (380, 310)], multimask=False).best,
        "plate": segment(photo, mask=inside, multimask=False).best,
    }
    expected = {label: mask for label, mask in expected.items() if mask.any()}
    first, second = read_cvat(out)
    assert (first.name, second.name) == ("cups/coffee.png", "cups/empty.png")
    assert (first.labels, second.labels) == (tuple(expected), ())
    for prompt, mask in zip(first.prompts, expected.values(), strict=True):
        np.testing.assert_array_equal(np.asarray(prompt.mask) > 0, mask)
    ids = [image.get("id") for image in ElementTree.parse(out).iter("image")]
    assert ids == ["0", "1"]


def test_another_photo_or_file_is_reported(tmp_path, caplog):
    Image.new("RGB", (60, 40)).save(tmp_path / "coffee.png")
    (tmp_path / "task.xml").write_text(TASK.replace("cups/", ""))
    (tmp_path / "other.xml").write_text("<annotations><image/></annotations>")
    for name, message in (
        ("task.xml", "but (400, 600) in the file"),
        ("other.xml", "is not a CVAT"),
    ):
        out = ["--photos", str(tmp_path), "--out", str(tmp_path / "out.xml")]
        assert main([str(tmp_path / name), *out, "--model", SMALL_MODEL]) == 1
        assert message in caplog.text
    assert not (tmp_path / "out.xml").exists()
