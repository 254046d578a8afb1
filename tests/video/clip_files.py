"""Clips for the tests of frames: pictures that tell their number, and files of them."""

import struct
from fractions import Fraction

import av
import numpy as np

H264 = {"codec": "libx264", "options": {"g": "12", "bf": "2"}}  # B-frames: shown out of order
LOSSLESS = {"codec": "libx264rgb", "pix_fmt": "rgb24", "options": {"qp": "0", "g": "12"}}
TKHD_MATRIX = 40  # bytes from the name of a version 0 header to its matrix


def pictures(count, height=48, width=64):
    """`(count, height, width, 3)`: noise, and the number of the frame in red at the left."""
    clip = np.random.default_rng(7).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    clip[:, :, : width // 2, 0] = np.arange(count)[:, None, None]
    return clip


def write_clip(path, clip, *, codec="ffv1", pix_fmt=None, times=None, **more):
    """Write pictures as a video file; `times` are milliseconds instead of 30 frames a second."""
    pix_fmt = pix_fmt or {"ffv1": "bgr0", "libx264": "yuv420p"}.get(codec, "yuv420p")
    with av.open(str(path), "w", options=more.get("container", {})) as container:
        stream = container.add_stream(codec, rate=30, options=more.get("options", {}))
        stream.height, stream.width = clip[0].shape[:2]
        stream.pix_fmt = pix_fmt
        if times is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, picture in enumerate(clip):
            frame = av.VideoFrame.from_ndarray(picture, format=more.get("given", "rgb24"))
            frame = frame.reformat(format=pix_fmt)
            if times is not None:
                frame.pts, frame.time_base = times[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def decode_in_order(path):
    """Decode a whole file with PyAV alone."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def patch_matrix(path, matrix):
    """Write `(a, b, c, d)` into the header of an mp4, as a phone does that was held sideways."""
    data = bytearray(path.read_bytes())
    a, b, c, d = (int(number * 65536) for number in matrix)
    begin = data.index(b"tkhd") + 4 + TKHD_MATRIX
    data[begin : begin + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def patch_edit_list(path, *, skipped_ticks, duration_ms):
    """Write into an mp4 that it begins later and is shorter, as a trimmed phone video says."""
    data = bytearray(path.read_bytes())
    begin = data.index(b"elst") + 12
    _, media_time = struct.unpack(">Ii", data[begin : begin + 8])
    data[begin : begin + 8] = struct.pack(">Ii", duration_ms, media_time + skipped_ticks)
    path.write_bytes(data)
