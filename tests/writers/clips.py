"""Videos with sound and wide pixels, drawn for tests."""

from fractions import Fraction

import av
import numpy as np

RATE = 25
SECOND = 44100


def sounding_clip(path, *, num_frames=30, aspect=None, size=(48, 64), codec="aac"):
    """A video whose pictures get brighter, with a tone that begins with frame 20."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        sound = container.add_stream(codec, rate=SECOND, layout="mono")
        for number in range(num_frames):
            picture = np.full((*size, 3), 8 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        samples = np.arange(num_frames * SECOND // RATE)
        tone = np.sin(2 * np.pi * 440 * samples / SECOND) * (samples >= 20 * SECOND // RATE)
        wave = av.AudioFrame.from_ndarray(tone[None].astype(np.float32) / 2, "fltp", "mono")
        wave.sample_rate = SECOND
        queue = av.AudioFifo()
        queue.write(wave)
        while (block := queue.read(1024)) is not None:
            container.mux(sound.encode(block))
        container.mux(sound.encode(None))
    return path


def read_sound(path):
    """Codec, seconds heard, and when the tone begins, on the clock of the pictures."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        parts, begin = [], None
        for frame in container.decode(stream):
            begin = frame.time if begin is None else begin
            parts.append(np.abs(frame.to_ndarray().astype(float)).reshape(-1)[: frame.samples])
        wave = np.concatenate(parts)
        loud = np.flatnonzero(wave > 0.3 * wave.max())
        heard = len(wave) / stream.rate
        return stream.codec_context.name, heard, begin + loud[0] / stream.rate


def read_frames(path):
    """Decoded frames, `(height, width, 3)`, or 4 with opacity; libvpx reads that of VP9."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        given = "rgb24" if stream.codec_context.name == "h264" else "rgba"
        if stream.codec_context.name != "vp9":
            return [frame.to_ndarray(format=given, threads=1) for frame in container.decode(stream)]
        decoder = av.codec.CodecContext.create("libvpx-vp9", "r")
        packets = list(container.demux(stream))
        return [
            frame.to_ndarray(format=given, threads=1)
            for packet in packets
            for frame in decoder.decode(packet)
        ]


def half_masks(count, size=(49, 65)):
    """Masks of a block that moves to the right."""
    masks = np.zeros((count, *size), bool)
    for number, mask in enumerate(masks):
        mask[8:40, 4 * number : 4 * number + 24] = True
    return masks


WIDE = Fraction(4, 3)
