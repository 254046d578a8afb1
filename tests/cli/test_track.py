"""`sam2-hf track`."""

import io
import json
import sys

import av
import numpy as np
import pytest
from PIL import Image

from sam2_hf import rle
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession

CLICKS = ("--click", "2:1:30,20", "--click", "2:4:10,40")


def read_json(path):
    return json.loads(path.read_text())


def test_two_clicks_give_four_results_and_leave_nothing_else(track, tmp_path, capsys):
    assert track(*CLICKS) == 0

    out = tmp_path / "out"
    names = ["clip_masklets.json", "clip_masks", "clip_overlay.mp4", "clip_scores.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    told = capsys.readouterr().out
    assert "clip: 8 frames, 2 objects, " in told
    assert " frames/s" in told
    assert all(str(out / name) in told for name in names)


def test_the_files_agree_with_each_other(track, tmp_path):
    track(*CLICKS, "--no-overlap")

    content = read_json(tmp_path / "out" / "clip_masklets.json")
    rows = (tmp_path / "out" / "clip_scores.csv").read_text().splitlines()[1:]
    assert (len(content["masklet"]), len(rows)) == (8, 16)
    for frame, objects in enumerate(content["masklet"]):
        labels = np.asarray(Image.open(tmp_path / "out" / "clip_masks" / f"{frame:05d}.png"))
        for place, object_id in enumerate((1, 4)):
            mask = rle.decode(rle.from_coco(objects[place]))
            np.testing.assert_array_equal(labels == object_id, mask)
            row = rows[2 * frame + place].split(",")
            assert (row[0], row[2], row[5]) == (str(frame), str(object_id), str(mask.sum()))
            assert row[6] == str(int(frame == 2))


def test_the_masks_are_those_of_a_session(track, tmp_path, model_folder, clip):
    track(*CLICKS, "--direction", "forward")

    model = Sam2VideoModel.from_pretrained(model_folder).eval()
    with Sam2VideoInferenceSession.open(str(clip), model) as session:
        session.click(2, 1, (30, 20))
        session.click(2, 4, (10, 40))
        expected = {result.frame: result.masks for result in session.propagate()}
    masklet = read_json(tmp_path / "out" / "clip_masklets.json")["masklet"]
    assert masklet[:2] == [[None, None]] * 2  # before the first prompt
    for frame, masks in expected.items():
        for place, object_id in enumerate((1, 4)):
            mask = rle.decode(rle.from_coco(masklet[frame][place]))
            np.testing.assert_array_equal(mask, masks[object_id])


def test_an_object_of_another_picture_is_tracked_and_named(track, tmp_path, model_folder, clip):
    picture, mask = np.full((30, 50, 3), 90, np.uint8), np.zeros((30, 50), np.uint8)
    picture[5:20, 10:30], mask[5:20, 10:30] = 200, 255
    Image.fromarray(picture).save(tmp_path / "a:picture.png")
    Image.fromarray(mask).save(tmp_path / "mask.png")
    reference = f"{tmp_path / 'a:picture.png'}:{tmp_path / 'mask.png'}:6"

    assert track("--reference", reference, "--name", "6=cup") == 0

    content = read_json(tmp_path / "out" / "clip_masklets.json")
    model = Sam2VideoModel.from_pretrained(model_folder).eval()
    with Sam2VideoInferenceSession.open(str(clip), model) as session:
        session.reference(picture, mask, 6)
        for result in session.propagate():
            found = rle.decode(rle.from_coco(content["masklet"][result.frame][0]))
            np.testing.assert_array_equal(found, result.masks[6])


def test_the_overlay_has_the_videos_frames_and_times(track, tmp_path):
    track(*CLICKS, "--outputs", "mp4")

    with av.open(str(tmp_path / "out" / "clip_overlay.mp4")) as container:
        frames = list(container.decode(video=0))
    assert [(frame.height, frame.width) for frame in frames] == [(48, 64)] * 8
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(8) / 10, atol=1e-3)


def test_all_kinds_of_prompts_work_together(track, tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:20, 10:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")

    prompts = ["--mask", f"0:1:{tmp_path / 'mask.png'}", "--box", "3:2:5,5,40,40"]
    assert track(*prompts, "--click", "3:2:20,20", "--outputs", "objects,csv") == 0

    names = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.png")}
    assert {"clip_objects/001/00000.png", "clip_objects/002/00007.png"} < names
    first = np.asarray(Image.open(tmp_path / "out" / "clip_objects" / "001" / "00000.png"))
    np.testing.assert_array_equal(first, mask > 0)


def test_a_limit_counts_in_each_direction(track, tmp_path):
    assert track(*CLICKS, "--limit", "2", "--outputs", "png") == 0

    names = sorted(path.name for path in (tmp_path / "out" / "clip_masks").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png", "00003.png"]


def test_pngs_of_an_earlier_run_go_and_other_files_stay(track, tmp_path):
    track(*CLICKS, "--outputs", "png")
    (tmp_path / "out" / "clip_masks" / "notes.txt").write_text("mine")

    track(*CLICKS, "--outputs", "png", "--limit", "1", "--direction", "forward")

    names = sorted(path.name for path in (tmp_path / "out" / "clip_masks").iterdir())
    assert names == ["00002.png", "notes.txt"]


def test_a_folder_of_pictures_gives_its_names_to_the_pngs(track, tmp_path):
    folder = tmp_path / "bear.v2"
    folder.mkdir()
    for name in ("img9", "img10"):
        Image.new("RGB", (40, 30), (90, 60, 30)).save(folder / f"{name}.png")

    assert track("--click", "0:1:5,5", video=folder) == 0

    names = sorted(path.name for path in (tmp_path / "out" / "bear.v2_masks").iterdir())
    assert names == ["img10.png", "img9.png"]
    assert read_json(tmp_path / "out" / "bear.v2_masklets.json")["video_duration"] is None


def test_a_video_that_is_cut_off_is_tracked_up_to_there(track, tmp_path, capsys, long_clip):
    content = long_clip.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: int(0.7 * len(content))])

    assert track("--click", "0:1:30,20", video=tmp_path / "cut.mp4") == 2

    (line,) = capsys.readouterr().err.splitlines()
    masks = sorted(path.name for path in (tmp_path / "out" / "cut_masks").iterdir())
    assert f"frame {len(masks)}" in line
    assert 3 < len(masks) < 24
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is no prompt"),
        (["--click", "8:1:3,3"], "a prompt is for frame 8, but clip.mp4 has 8 frame(s): 0 to 7"),
        (["--click", "0:1:70,20"], "lies outside"),
        (["--box", "0:1:9,9,3,3"], "ends before it begins"),
        (["--mask", "0:1:none.png"], "there is no mask file none.png"),
        (["--reference", "none.jpg:none.png:1"], "there is no mask file none.png"),
        (["--click", "0:300:3,3"], "davis cannot hold object 300"),
        (["--click", "0:1:3,3", "--start", "9"], "--start 9 is beyond"),
        (["--click", "0:1:3,3", "--camera", "0"], "not both"),
    ],
)
def test_wrong_arguments_are_one_line_before_a_model_is_loaded(
    track, one_error_line, arguments, message
):
    assert track(*arguments, model="someone/none") == 2

    assert message in one_error_line()


def test_a_file_that_is_missing_or_no_video_is_one_line(track, one_error_line, tmp_path):
    assert track(*CLICKS, video=tmp_path / "none.mp4") == 2
    assert "there is no video file" in one_error_line()

    (tmp_path / "text.mp4").write_text("not a video")
    assert track(*CLICKS, video=tmp_path / "text.mp4") == 2
    assert "text.mp4" in one_error_line()


def test_ids_beyond_a_palette_are_fine_without_one(track, tmp_path):
    arguments = ["--click", "0:300:3,3", "--outputs", "objects,json", "--limit", "1"]

    assert track(*arguments) == 0

    assert (tmp_path / "out" / "clip_objects" / "300" / "00000.png").exists()


def test_a_stack_of_deep_pictures_is_tracked_as_the_option_says(track, tmp_path, clip):
    with av.open(str(clip)) as container:
        gray = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    pages = [Image.fromarray(page.astype(np.int32) - 500) for page in gray]
    pages[0].save(tmp_path / "ct.tif", save_all=True, append_images=pages[1:])
    options = ("--click", "0:1:30,20", "--outputs", "json")

    assert track(*options, video=tmp_path / "ct.tif") == 2
    assert track(*options, "--value-range=-500,-245", video=tmp_path / "ct.tif") == 0

    content = read_json(tmp_path / "out" / "ct_masklets.json")
    assert len(content["masklet"]) == 8


def test_a_video_may_come_from_stdin_and_the_json_sums_up_each_object(
    track, clip, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(clip.read_bytes())))

    assert track(*CLICKS, "--limit", "2", "--outputs", "csv", "--json", video="-") == 0

    report = json.loads(capsys.readouterr().out)
    (result,) = report["results"]
    assert (result["source"], result["num_frames"], result["tracked_frames"]) == ("-", 8, 4)
    assert result["files"] == [str(tmp_path / "out" / "stdin_scores.csv")]
    table = (tmp_path / "out" / "stdin_scores.csv").read_text()
    rows = [line.split(",") for line in table.splitlines()[1:]]
    for found, object_id in zip(result["objects"], ("1", "4"), strict=True):
        areas = [int(row[5]) for row in rows if row[2] == object_id and int(row[5])]
        assert found["frames"] == len(areas)
        assert found["mean_area"] == pytest.approx(sum(areas) / max(len(areas), 1))


def test_a_memory_policy_is_the_sessions(track, monkeypatch):
    opened = []
    real = Sam2VideoInferenceSession.open

    def note(video, model, *, options):
        opened.append(options.memory_policy)
        return real(video, model, options=options)

    monkeypatch.setattr(Sam2VideoInferenceSession, "open", note)

    assert track(*CLICKS, "--limit", "2", "--memory-policy", "samurai+score") == 0
    assert opened == ["samurai+score"]
