"""Published J&F of the released checkpoints, for comparison with measured rows.

These are checkpoints trained only on SA-1B, SA-V and internal data, which were released, unlike
those of the papers' main tables.

Source: SAM 2 paper (arXiv 2408.00714 v1), table 17, rows marked with a double dagger, for 2.0;
    README.md @ 2b90b9f, and table 17 of v2, for 2.1.
"""

from collections.abc import Mapping
from types import MappingProxyType

SIZES = ("tiny", "small", "base-plus", "large")
_J_AND_F: dict[str, dict[str, tuple[float, float, float, float]]] = {
    "sav-val": {"sam2": (73.7, 72.7, 75.3, 76.1), "sam2.1": (75.2, 77.0, 77.5, 78.6)},
    "sav-test": {"sam2": (75.0, 74.9, 74.7, 76.0), "sam2.1": (76.5, 76.6, 78.2, 79.5)},
    "mose-val": {"sam2": (70.9, 71.5, 72.8, 74.6), "sam2.1": (71.8, 73.5, 73.7, 74.6)},
    "davis17-val": {"sam2": (89.2, 88.8, 88.9, 89.3), "sam2.1": (89.4, 89.6, 90.0, 90.2)},
    "davis17-test-dev": {"sam2": (86.7, 86.3, 86.7, 88.1)},
    "lvos-v1-val": {"sam2": (73.6, 73.5, 76.2, 77.9), "sam2.1": (77.5, 77.3, 77.7, 80.1)},
    "lvos-v2-val": {"sam2": (75.3, 76.4, 75.8, 79.8), "sam2.1": (77.3, 78.3, 78.2, 80.6)},
    "ytvos19-val": {"sam2": (87.4, 87.5, 87.9, 88.6)},
}
J_AND_F: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        data_set: {
            f"{version}-hiera-{size}": value
            for version, values in by_version.items()
            for size, value in zip(SIZES, values, strict=True)
        }
        for data_set, by_version in _J_AND_F.items()
    }
)
"""J&F by data set and checkpoint, 0-100; of ytvos19-val it is G."""

_HALVES: dict[str, dict[str, tuple[tuple[float, float, float, float], ...]]] = {
    "lvos-v2-val": {
        "sam2": (
            (75.2, 81.8, 67.7, 76.4),
            (77.1, 84.0, 67.5, 77.0),
            (77.0, 83.4, 67.0, 75.6),
            (80.0, 86.6, 71.6, 81.1),
        )
    },
}
HALVES: Mapping[str, Mapping[str, tuple[float, float, float, float]]] = MappingProxyType(
    {
        data_set: {
            f"{version}-hiera-{size}": numbers
            for version, rows in by_version.items()
            for size, numbers in zip(SIZES, rows, strict=True)
        }
        for data_set, by_version in _HALVES.items()
    }
)
"""J and F of seen categories, then of unseen ones, 0-100; table 17 of the paper, double daggers."""
