"""Exports of a set, read back by the readers of training and by pycocotools."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sam2_hf import rle
from sam2_hf.data.annotated_video import RowRecording
from sam2_hf.data.config import SourceConfig
from sam2_hf.data.davis import read_davis
from sam2_hf.data.hub import open_hub
from sam2_hf.data.rows import import_datasets
from sam2_hf.data.sav import read_sav
from sam2_hf.engine import set_export
from sam2_hf.engine.set_export import ExportedVideo, export_set
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.video_labels import LabeledFrames, LabeledMasklet, VideoLabels
from sam2_hf.engine.video_queue import QueuedVideo
from sam2_hf.errors import PromptError
from sam2_hf.writers.frame_journal import ObjectOnFrame, TrackedFrame
from tests.engine.conftest import label

KINDS = "sav,davis,coco-video,yolo,parquet"


@pytest.fixture(scope="module")
def exported(three_labeled, tmp_path_factory):
    """The export of a set of which one masklet is accepted, and that masklet's masks."""
    root = tmp_path_factory.mktemp("exported")
    out, path = shutil.copytree(three_labeled, root / "set"), root / "reviews.json"
    decisions = {"clip01": [{"object": 1, "verdict": "accepted", "by": "Ann"}]}
    path.write_text(json.dumps({**decisions, "clip02": [{"object": 1, "verdict": "rejected"}]}))
    label("--out", out, "--retrack", "--review", path, "--export", KINDS)
    folder = SetFolder(out)
    video = next(video for video in folder.videos() if video.name == "clip01")
    frames = LabeledFrames(folder.labels(video.id))
    return folder.root / "export", [frame.objects[0].mask() for frame in frames]


def masks_of(recording):
    found = [recording.objects(place) for place in range(recording.num_frames)]
    return [objects.mask(next(iter(objects.areas()))) for objects in found]


def test_sav_and_davis_are_read_by_training(exported):
    folder, masks = exported
    options = {"annotations": "auto", "every": 1}

    rows = [
        *read_sav(SourceConfig("sav", path=str(folder / "sav"), options=options)),
        *read_davis(SourceConfig("davis", path=str(folder / "davis"))),
    ]

    for row in rows:
        assert row.name.startswith("clip01-")
        assert np.array_equal(masks_of(RowRecording(row)), masks)
    assert len(rows) == 2


def test_the_table_is_read_by_training_and_holds_the_provenance(exported):
    folder, masks = exported

    source = open_hub(SourceConfig("hub", path=str(folder / "train.parquet")))
    whole = import_datasets().Dataset.from_parquet(str(folder / "train.parquet"))
    (provenance,) = json.loads(whole["provenance"][0])

    assert np.array_equal(masks_of(source.recording(0)), masks)
    assert provenance["history"][0]["by"] == "Ann"


def test_coco_names_who_accepted_which_model_tracked_and_what_was_prompted(exported):
    folder, masks = exported
    content = json.loads((folder / "instances.json").read_text())

    (annotation,), (video,) = content["annotations"], content["videos"]

    found = [rle.decode(rle.from_coco(item)) for item in annotation["segmentations"]]
    assert np.array_equal(found, masks)
    assert video["file_names"][0].endswith("/00000.png")
    assert [category["name"] for category in content["categories"]] == ["square"]
    provenance = annotation["provenance"]
    assert provenance["history"][0]["by"] == "Ann"
    assert len(provenance["model"]["fingerprint"]) == 64
    assert provenance["prompts"][0]["by"] == "squares.json"
    assert set(provenance["scores"]) == {"predicted_iou", "object_score", "stability", "agreement"}
    (line,) = (folder / "provenance.jsonl").read_text().splitlines()
    assert json.loads(line)["masklets"] == [provenance]


def test_yolo_has_the_pictures_of_the_accepted_video(exported):
    folder, masks = exported

    pictures = sorted((folder / "yolo/images").iterdir())

    assert len(pictures) == len(masks)
    with Image.open(pictures[0]) as picture:
        assert picture.size == (32, 24)
    assert all((folder / f"yolo/labels/{path.stem}.txt").is_file() for path in pictures)


def test_a_new_export_replaces_the_earlier_one_whole(exported, tmp_path):
    out = shutil.copytree(exported[0].parent, tmp_path / "set")
    stale = out / "export/sav/stale.json"
    stale.write_text("{}")

    label("--out", out, "--export", "sav")

    assert not stale.exists()
    assert (out / "export/train.parquet").exists()


def test_files_of_others_are_not_replaced(small_set, tmp_path, capsys):
    (tmp_path / "mine/yolo").mkdir(parents=True)

    label("--out", small_set, "--export", "yolo", "--to", tmp_path / "mine", code=2)

    assert "no export of a set" in capsys.readouterr().err


def video(address, ids=(1,)):
    """A video whose objects are accepted; each is one pixel of its one frame."""

    def mask_of(place):
        mask_hw = np.zeros((2, 300), bool)
        mask_hw[0, place] = True
        return rle.to_coco(rle.encode(mask_hw))

    about = VideoLabels("cup", "cup", address, (2, 300), 1, None, "phase3")
    masklets = [LabeledMasklet(number, status="accepted") for number in ids]
    found = [ObjectOnFrame(n, mask_of(place), 1, 0.9, 5.0, True) for place, n in enumerate(ids)]
    frames = [TrackedFrame(0, 0.0, tuple(found))]
    return ExportedVideo(about, masklets, frames, QueuedVideo.at(address, "cup"))


def export_of(item, kinds, target, monkeypatch):
    """Export one video of a set that is not there."""
    monkeypatch.setattr(set_export, "_accepted", lambda *_: [item])
    return export_set(SetFolder(target), kinds, target, lambda: None)


def test_ids_that_a_label_map_cannot_hold_are_numbered_anew(tmp_path, monkeypatch):
    item = video("s3://bucket/cup.mp4", ids=(300, 7))

    export_of(item, ["davis"], tmp_path, monkeypatch)

    (path,) = (tmp_path / "davis/Annotations/cup").iterdir()
    with Image.open(path) as picture:
        assert np.asarray(picture)[0, :3].tolist() == [2, 1, 0]
    (line,) = (tmp_path / "provenance.jsonl").read_text().splitlines()
    assert json.loads(line)["label_values"] == {"7": 1, "300": 2}
    assert [masklet["object_id"] for masklet in json.loads(line)["masklets"]] == [300, 7]


def test_more_objects_than_label_values_are_refused_before_anything_is_written(
    tmp_path, monkeypatch
):
    with pytest.raises(PromptError, match="davis cannot hold 256 accepted objects of cup"):
        export_of(video("/cup.mp4", range(1, 257)), ["davis"], tmp_path, monkeypatch)

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["sav", "parquet"])
@pytest.mark.parametrize("address", ["s3://bucket/cup.mp4", "dataset:/table:train#3"])
def test_formats_that_refer_to_files_refuse_other_videos(kind, address, tmp_path, monkeypatch):
    with pytest.raises(
        PromptError, match=f"{kind}: training would read .* {address} is not a file"
    ):
        export_of(video(address), [kind], tmp_path, monkeypatch)

    assert not list(tmp_path.iterdir())
