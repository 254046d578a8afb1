"""`sam2-hf track --camera`."""

import contextlib
import json
import signal

import av
import pytest
from PIL import Image
from seeded_inputs import photo

from sam2_hf.cli.tracking import track_camera
from sam2_hf.errors import FrameError

CLICK = ("--click", "0:1:30,20")


class FakeCamera:
    """Gives a photo at each of some times; then fails, presses Ctrl-C, or just ends."""

    size = (48, 64)

    def __init__(self, times, at_the_end=lambda: None):
        self.times = times
        self.at_the_end = at_the_end

    def pictures(self):
        for index, time in enumerate(self.times):
            yield photo(48, 64, index), time
        self.at_the_end()

    def endless(self):
        while True:
            yield photo(48, 64, 0), None


@pytest.fixture
def plug_in(monkeypatch):
    def plug(fake):
        monkeypatch.setattr(
            track_camera, "open_camera", lambda number: contextlib.nullcontext(fake)
        )

    return plug


def test_the_results_are_those_of_a_video(track, tmp_path, plug_in, capsys):
    plug_in(FakeCamera([10.0, 10.1, 10.5, 10.6]))

    assert track(*CLICK, "--camera", "0", video=None) == 0

    out = tmp_path / "out"
    names = ["camera0_masklets.json", "camera0_masks", "camera0_overlay.mp4", "camera0_scores.csv"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert "camera0: 4 frames, 1 object, " in capsys.readouterr().out
    content = json.loads((out / "camera0_masklets.json").read_text())
    assert (content["video_frame_count"], content["masklet_edited_frame_count"]) == (4, [1])
    assert len(list((out / "camera0_masks").iterdir())) == 4


def test_an_object_of_another_picture_is_tracked_from_the_first_one(track, tmp_path, plug_in):
    Image.fromarray(photo(48, 64, 0)).save(tmp_path / "cup.png")
    Image.new("1", (64, 48), 1).save(tmp_path / "mask.png")
    plug_in(FakeCamera([10.0, 10.1, 10.5]))

    reference = f"{tmp_path / 'cup.png'}:{tmp_path / 'mask.png'}:3"
    assert track("--reference", reference, "--camera", "0", video=None) == 0

    content = json.loads((tmp_path / "out" / "camera0_masklets.json").read_text())
    assert content["masklet_id"] == [3]
    assert [len(row) for row in content["masklet"] if None not in row] == [1, 1, 1]


def test_the_overlay_keeps_the_times_at_which_pictures_came(track, tmp_path, plug_in):
    plug_in(FakeCamera([10.0, 10.1, 10.5, 10.6]))

    track(*CLICK, "--camera", "0", video=None)

    with av.open(str(tmp_path / "out" / "camera0_overlay.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times == pytest.approx([0.0, 0.1, 0.5, 0.6], abs=1e-3)


def test_a_limit_ends_it(track, tmp_path, plug_in):
    fake = FakeCamera([])
    fake.pictures = fake.endless
    plug_in(fake)

    assert track(*CLICK, "--camera", "0", "--limit", "3", video=None) == 0

    assert len(list((tmp_path / "out" / "camera0_masks").iterdir())) == 3


def test_ctrl_c_is_how_it_ends(track, tmp_path, plug_in):
    fake = FakeCamera([])

    def pressed():
        for index, (picture, time) in enumerate(fake.endless()):
            if index == 2:
                signal.raise_signal(signal.SIGINT)
            yield picture, time

    fake.pictures = pressed
    plug_in(fake)

    assert track(*CLICK, "--camera", "0", video=None) == 0
    assert len(list((tmp_path / "out" / "camera0_masks").iterdir())) == 2


def test_a_camera_that_is_pulled_out_loses_nothing(track, tmp_path, plug_in, capsys):
    def fail():
        raise FrameError("/dev/video0 delivers no more pictures: No such device.")

    plug_in(FakeCamera([0.0, 0.1], fail))

    assert track(*CLICK, "--camera", "0", video=None) == 2

    assert "delivers no more pictures" in capsys.readouterr().err
    assert len(list((tmp_path / "out" / "camera0_masks").iterdir())) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--click", "1:1:3,3"], "all must be for frame 0"),
        (["--click", "0:1:99,3"], "lies outside"),
        ([*CLICK, "--resume"], "cannot go back"),
        ([*CLICK, "--direction", "backward"], "cannot go back"),
    ],
)
def test_what_a_camera_cannot_do_is_one_line(track, plug_in, one_error_line, arguments, message):
    plug_in(FakeCamera([0.0]))

    assert track(*arguments, "--camera", "0", video=None, model="someone/none") == 2

    assert message in one_error_line()


def test_without_a_camera_there_is_one_line(track, one_error_line, monkeypatch):
    monkeypatch.setattr(track_camera, "DEVICE", "/dev/no-camera{}")

    assert track(*CLICK, "--camera", "7", video=None) == 2

    assert "there is no camera 7: /dev/no-camera7 does not exist" in one_error_line()


def test_pictures_of_a_device_come_with_size_and_times(monkeypatch, clip):
    monkeypatch.setattr(track_camera, "DEVICE", str(clip))
    monkeypatch.setattr(track_camera, "FORMAT", None)

    with track_camera.open_camera(0) as opened:
        found = list(opened.pictures())

    assert opened.size == (48, 64)
    assert [picture.shape for picture, _ in found] == [(48, 64, 3)] * 8
    assert [time for _, time in found] == pytest.approx([n / 10 for n in range(8)], abs=1e-3)


def test_a_device_that_is_no_camera_is_one_line(track, one_error_line, monkeypatch, tmp_path):
    (tmp_path / "video0").write_text("no camera")
    monkeypatch.setattr(track_camera, "DEVICE", str(tmp_path / "video{}"))

    assert track(*CLICK, "--camera", "0", video=None) == 2

    assert "cannot be opened" in one_error_line()
