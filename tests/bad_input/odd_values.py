"""Values that are none, or only just."""

from decimal import Decimal

import numpy as np
import torch

HUGE = 10**400
NAN, INF = float("nan"), float("inf")


class Nothing:
    """An object of no kind that anybody knows."""


NOTHING = Nothing()
# No coordinate inside a picture of 48 x 80 pixels, whatever is done to it.
NO_COORDINATES = {
    "10^400": HUGE,
    "-10^400": -HUGE,
    "NaN": NAN,
    "inf": INF,
    "-inf": -INF,
    "1e300": 1e300,
    "1e9": 1e9,
    "-1e9": -1e9,
    "None": None,
    "a word": "abc",
    "no text": "",
    "bytes": b"\xff",
    "a complex number": 3j,
    "an object": NOTHING,
    "an empty list": [],
    "a nested list": [[3]],
    "two numbers": [3, 4],
    "a dictionary": {"x": 1},
    "a big decimal": Decimal("1e999"),
    "a function": len,
    "an array of NaN": np.full(3, NAN),
    "a tensor of inf": torch.tensor(INF),
    "deep nesting": None,  # made below
}
_deep: list = []
for _ in range(3000):
    _deep = [_deep]
NO_COORDINATES["deep nesting"] = _deep
NO_IDS = {
    "True": True,
    "False": False,
    "1.0": 1.0,
    "1.5": 1.5,
    "NaN": NAN,
    "inf": INF,
    "10^30": 10**30,
    "-10^30": -(10**30),
    "10^400": HUGE,
    "text": "1",
    "None": None,
    "a list in a list": [[1]],
    "an object": NOTHING,
    "bytes": b"1",
    "a boolean of numpy": np.bool_(True),
    "a boolean tensor": torch.tensor(True),
    "an array of floats": np.array([1.0, 2.0]),
}
NO_FRAMES = NO_IDS | {"-1": -1, "one too many": 3, "10^9": 10**9}
NO_FLAGS = {
    "no": "no",
    "yes": "yes",
    "no text": "",
    "None": None,
    "2": 2,
    "-1": -1,
    "0.5": 0.5,
    "NaN": NAN,
    "a list of 2": [2],
    "a list of words": ["no"],
    "a list of None": [None],
    "an object": NOTHING,
    "too many": [True, False, True],
    "none": [],
    "ragged": [[True], [True, False]],
    "10^400": HUGE,
    "bytes": b"1",
    "a dictionary": {"positive": True},
    "a set": {True},
}
NO_BOXES = {
    "10^400": (1, 1, HUGE, 20),
    "NaN": (1, 1, NAN, 20),
    "inf": (1, 1, INF, 20),
    "-inf": (-INF, 1, 30, 20),
    "turned over": (30, 20, 1, 1),
    "outside": (1000, 1000, 1100, 1100),
    "left of all": (-500, -500, -400, -400),
    "three numbers": (1, 2, 3),
    "five numbers": (1, 2, 3, 4, 5),
    "no number": (),
    "words": "abcd",
    "digits": "1234",
    "a word among them": (1, 2, "x", 4),
    "None among them": (1, 2, None, 4),
    "a number": 7,
    "an object": NOTHING,
    "complex": (1, 2, 3j, 4),
    "two in one": [(1, 1, 20, 20), (2, 2, 30, 30)],
    "bytes": b"\x01\x01\x14\x14",
    "a dictionary": {1: 2, 3: 4, 30: 6, 40: 8},
    "a set": {1, 2, 30, 40},
}


def no_masks(size):
    """Masks that cannot be meant for a frame of this size."""
    height, width = size
    ones = np.ones(size, np.float32)
    holed = ones.copy()
    holed[3, 4] = NAN
    return {
        "all NaN": ones * NAN,
        "one NaN": holed,
        "a NaN tensor": torch.full(size, NAN),
        "1 to inf": np.where(np.eye(*size) > 0, INF, ones),
        "another size": np.ones((height + 1, width), bool),
        "turned": np.ones((width, height), bool),
        "three colors": np.ones((height, width, 3), np.uint8),
        "two masks": np.ones((2, height, width), bool),
        "one row": np.ones(width, bool),
        "no pixel": np.ones((0, width), bool),
        "a number": 1,
        "text": "mask.png",
        "complex": ones * 1j,
        "objects": np.full(size, NOTHING, object),
        "words": np.full(size, "no"),
        "negative numbers": -np.ones(size, np.int64),
        "floats beyond 1": ones * 3.5,
        "ragged": [[1, 0], [1]],
        "an object": NOTHING,
        "a dictionary": {"mask": ones},
        "bytes": b"1111",
        "10^400": [[HUGE] * width] * height,
        "dates": np.full(size, "2020-01-01", "datetime64[D]"),
    }
