"""What a written video takes over from its source."""

from pathlib import Path

import av
import numpy as np
import pytest

from sam2_hf.writers.mp4 import H264, PRORES, VP9_ALPHA, video_writer
from sam2_hf.writers.source_clip import SourceClip
from tests.writers.clips import RATE, WIDE, half_masks, read_frames, read_sound, sounding_clip

CHANNELS = {"rgb24": 3, "rgba": 4}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return sounding_clip(tmp_path_factory.mktemp("clips") / "tone.mp4", aspect=WIDE)


def write(path, source, frames, encoding=H264, size=(48, 64)):
    with video_writer(path, fps=RATE, encoding=encoding, source=source) as writer:
        for frame in frames:
            picture = np.full((*size, CHANNELS[encoding.given]), 8 * frame, np.uint8)
            writer.write(picture, frame / RATE)
    return path


@pytest.mark.parametrize(
    ("encoding", "codec"), [(H264, "aac"), (PRORES, "aac"), (VP9_ALPHA, "opus")]
)
def test_sound_is_kept_where_frames_are_and_copied_if_it_fits(tmp_path, clip, encoding, codec):
    path = write(tmp_path / f"clip.{encoding.container}", clip, range(10, 28), encoding)

    found, heard, tone_at = read_sound(path)
    _, _, source_at = read_sound(clip)
    assert found == codec
    assert heard == pytest.approx(18 / RATE, abs=0.03)  # packets are 23 ms long
    assert tone_at == pytest.approx(source_at - 10 / RATE, abs=0.012)


def test_copied_packets_are_those_of_the_source(tmp_path, clip):
    path = write(tmp_path / "clip.mp4", clip, range(30))

    def packets(file):
        with av.open(str(file)) as container:
            found = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
        return found

    written = packets(path)
    assert len(written) > 40
    assert set(written) <= set(packets(clip))


@pytest.mark.parametrize(
    ("encoding", "codec"), [(H264, "aac"), (PRORES, "pcm_s16le"), (VP9_ALPHA, "opus")]
)
def test_sound_that_a_container_cannot_hold_is_encoded_again(tmp_path, encoding, codec):
    source = sounding_clip(tmp_path / "tone.mkv", codec="mp2")

    path = write(tmp_path / f"clip.{encoding.container}", source, range(10, 28), encoding)

    found, heard, tone_at = read_sound(path)
    assert found == codec
    assert heard == pytest.approx(18 / RATE, abs=0.05)
    assert tone_at == pytest.approx(read_sound(source)[2] - 10 / RATE, abs=0.03)


def test_sound_without_a_decoder_is_left_out_with_a_note(tmp_path, caplog):
    source = sounding_clip(tmp_path / "tone.mkv", codec="mp2")
    content = source.read_bytes()
    assert content.count(b"A_MPEG/L2") == 1
    source.write_bytes(content.replace(b"A_MPEG/L2", b"A_ALIEN/9"))

    path = write(tmp_path / "clip.mp4", source, range(3))

    assert len(read_frames(path)) == 3
    with av.open(str(path)) as container:
        assert not container.streams.audio
    assert "sound that FFmpeg cannot decode" in caplog.text


@pytest.mark.parametrize("encoding", [H264, PRORES])
def test_wide_pixels_stay_wide(tmp_path, clip, encoding):
    path = write(tmp_path / f"clip.{encoding.container}", clip, range(3), encoding)

    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.sample_aspect_ratio, stream.width) == (WIDE, 64)


def test_where_a_container_knows_square_pixels_only_the_picture_is_widened(tmp_path, clip):
    frames = read_frames(write(tmp_path / "clip.webm", clip, range(3), VP9_ALPHA))

    assert frames[0].shape == (48, 85, 4)


def test_a_clip_without_sound_gives_a_video_without_sound(tmp_path, clip):
    silent = write(tmp_path / "silent.mp4", None, range(3))

    path = write(tmp_path / "clip.mp4", silent, range(3))

    with av.open(str(path)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)


def test_a_picture_on_its_side_has_its_pixels_turned(tmp_path, clip):
    assert SourceClip.read(av, clip).pixel_aspect == WIDE
    turned = tmp_path / "turned.mov"
    with av.open(str(clip)) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    content = turned.read_bytes()
    identity = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
    rotated = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    place = content.index(b"tkhd")
    turned.write_bytes(content[:place] + content[place:].replace(identity, rotated, 1))

    assert SourceClip.read(av, turned).pixel_aspect == 1 / WIDE


@pytest.mark.parametrize("name", ["folder", "photo.png", "missing.mp4"])
def test_other_sources_have_nothing_to_keep(tmp_path, name):
    (tmp_path / "folder").mkdir()
    (tmp_path / "photo.png").write_bytes(b"no video")

    assert SourceClip.read(av, tmp_path / name) is None
    assert SourceClip.read(av, None) is None


@pytest.mark.parametrize(("encoding", "wrong"), [(PRORES, 0), (VP9_ALPHA, 40)])
def test_opacity_comes_back_also_at_odd_sizes(tmp_path, encoding, wrong):
    masks = half_masks(6)
    masks[3:, :, -9:] = True  # up to the edge
    path = Path(tmp_path / f"alpha.{encoding.container}")
    with video_writer(path, fps=RATE, encoding=encoding) as writer:
        for mask in masks:
            picture = np.full((*mask.shape, 4), 200, np.uint8)
            picture[..., 3] = mask * 255
            writer.write(picture)

    frames = read_frames(path)
    assert len(frames) == 6
    for frame, mask in zip(frames, masks, strict=True):
        assert frame.shape == (49, 65, 4)
        np.testing.assert_array_equal(frame[..., 3] > 127, mask)
        assert np.abs(frame[..., 3].astype(int) - 255 * mask).max() <= wrong
        assert np.abs(frame[mask][:, :3].astype(int) - 200).max() <= 4
