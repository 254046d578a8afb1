"""Damage to a JSON file, drawn from a seed: cut off, bytes changed, fields dropped or replaced."""

import copy
import json
import random

ODD_VALUES = (
    *(None, [], {}, "", "zz", -1, 0, 1, 3, 37, -32, 0.5, True, False, 1e400, float("nan")),
    *(10**9, 10**30, 1e-300, -1e300, "9" * 50, "../../etc/passwd", "\0"),
    *([1], [0] * 4, [-1] * 4, [[1]], [None], [10**9] * 4, {"a": 1}),
)
DEEP = '{"a":' * 100_000


def paths(fields, start=()):
    """Every place in nested objects."""
    for name, value in fields.items():
        yield (*start, name)
        if isinstance(value, dict):
            yield from paths(value, (*start, name))


def damaged(text, seed):
    """Return a damaged copy of a JSON text, as bytes, and what was done to it."""
    rng = random.Random(seed)
    kind = rng.random()
    if kind < 0.1:
        kept = rng.randrange(len(text))
        return text[:kept].encode(), f"cut off after {kept}"
    if kind < 0.2:
        raw = bytearray(text.encode())
        for _ in range(rng.choice((1, 3))):
            raw[rng.randrange(len(raw))] = rng.randrange(256)
        return bytes(raw), "bytes changed"
    if kind < 0.22:
        return rng.choice(("[]", "null", "7", DEEP)).encode(), "something else"
    fields = copy.deepcopy(json.loads(text))
    place = rng.choice(list(paths(fields)))
    inside = fields
    for name in place[:-1]:
        inside = inside[name]
    if rng.random() < 0.15:
        del inside[place[-1]]
        return json.dumps(fields).encode(), f"{place} dropped"
    inside[place[-1]] = rng.choice(ODD_VALUES)
    return json.dumps(fields).encode(), f"{place} = {inside[place[-1]]!r:.40}"
