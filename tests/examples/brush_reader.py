"""A reader of Label Studio's run lengths, written from the format's description."""

import numpy as np


class Bits:
    def __init__(self, numbers):
        self.text = "".join(f"{number:08b}" for number in numbers)
        self.place = 0

    def read(self, count):
        self.place += count
        return int(self.text[self.place - count : self.place], 2)


def read_brush(numbers, size):
    """Return the opacity of each pixel as a mask."""
    bits = Bits(numbers)
    count, word = bits.read(32), bits.read(5) + 1
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values = []
    while len(values) < count:
        is_run = bits.read(1)
        length = bits.read(sizes[bits.read(2)]) + 1
        if is_run:
            values += [bits.read(word)] * length
        else:
            values += [bits.read(word) for _ in range(length)]
    pixels = np.array(values).reshape(*size, 4)
    assert (pixels == pixels[..., :1]).all()
    assert set(np.unique(pixels)) <= {0, 255}
    return pixels[..., 3] > 0
