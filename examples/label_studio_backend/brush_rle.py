"""Label Studio's run lengths of brush masks: a stream of bits.

    32 bits   number of values: 4 for each pixel (red, green, blue, opacity), row by row
     5 bits   bits of a value, minus 1
     4 x 4    four sizes of run lengths in bits, minus 1
    and for each run: 1, the number of the size (2 bits), its length minus 1, the value

A packet that starts with 0 instead of 1 lists its values one by one; none is written here.

Source: the JavaScript package @thi.ng/rle-pack, whose format Label Studio documents as its own.
"""

import numpy as np
from numpy.typing import NDArray

CHANNELS = 4
VALUE_BITS = 8
INSIDE = 255
SIZES = (3, 4, 8, 16)  # bits of a run's length


def brush_rle(mask_hw: NDArray[np.bool_]) -> list[int]:
    """Write a mask as Label Studio's `rle`.

    Args:
        mask_hw: `(height, width)` bool.

    Returns:
        Bytes as numbers, 0-255.
    """
    flat = mask_hw.reshape(-1)
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    lengths = CHANNELS * np.diff([0, *changes, flat.size])
    bits = [f"{CHANNELS * flat.size:032b}{VALUE_BITS - 1:05b}"]
    bits += [f"{size - 1:04b}" for size in SIZES]
    is_inside = bool(flat[0])
    for length in lengths.tolist():
        bits += _packets(length, INSIDE * is_inside)
        is_inside = not is_inside
    stream = "".join(bits)
    stream += "0" * (-len(stream) % 8)
    return list(int(stream, 2).to_bytes(len(stream) // 8, "big"))


def _packets(length: int, value: int) -> list[str]:
    """Write a run, in parts where it is longer than the largest size holds."""
    packets = []
    while length:
        part = min(length, 2 ** SIZES[-1])
        number, size = next((n, size) for n, size in enumerate(SIZES) if part <= 2**size)
        packets.append(f"1{number:02b}{part - 1:0{size}b}{value:08b}")
        length -= part
    return packets
