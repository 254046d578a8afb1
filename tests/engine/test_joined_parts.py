"""Parts of a long video."""

from sam2_hf.engine.joined_parts import join_parts
from sam2_hf.engine.set_folder import SetFolder
from sam2_hf.engine.video_labels import (
    LabeledFrames,
    LabeledMasklet,
    VideoLabels,
    read_labels,
    write_labels,
)
from tests.engine.clips import write_clip
from tests.engine.conftest import label
from tests.engine.test_quality import square, tracked


def test_a_long_video_is_labeled_in_parts_whose_objects_are_numbered_through(tiny_folder, tmp_path):
    write_clip(tmp_path, 0, length=7)
    search = ["--points-per-side", "2", "--pred-iou-thresh", "0", "--stability-score-thresh", "0"]

    label(
        tmp_path / "clip00",
        "--out",
        tmp_path / "set",
        "--model",
        tiny_folder,
        *search,
        "--split-frames",
        3,
        "--max-objects",
        2,
    )

    folder = SetFolder(tmp_path / "set")
    (video_id,) = folder.done()
    video = read_labels(folder.labels(video_id))
    assert video.parts == ((0, 2), (2, 4), (4, 7))
    ids = [masklet.object_id for masklet in video.masklets]
    assert ids == list(range(1, len(ids) + 1))
    assert len(ids) >= 3
    frames = list(LabeledFrames(folder.labels(video_id)))
    assert [frame.frame for frame in frames] == list(range(7))
    for masklet in video.masklets:
        seen = {
            f.frame for f in frames for item in f.objects if item.object_id == masklet.object_id
        }
        first = masklet.prompts[0].frame
        assert seen == set(range(*next(part for part in video.parts if part[0] == first)))


def test_joining_is_progress_on_every_frame(tmp_path):
    folder, beats = SetFolder(tmp_path), []
    folder.write_plan("v", [(0, 3), (3, 6)])
    for number in range(2):
        part = VideoLabels("v", "v", "", (24, 32), 6, None, "phase3", (LabeledMasklet(1),))
        write_labels(folder.part("v", number), part, tracked([square(0, n) for n in range(3)]))

    join_parts(folder, "v", lambda: beats.append(1))

    assert len(beats) == 6
