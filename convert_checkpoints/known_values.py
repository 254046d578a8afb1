"""Known predictions of the released models for one click on one photo.

The values are those of transformers' conversion tests: the predicted IoUs of the three masks.
"""

from dataclasses import dataclass

PHOTO_REPO = "ybelkada/segment-anything"
PHOTO_FILE = "assets/car.png"
CLICK = (1000, 600)  # x, y in pixels of the photo, positive
TOLERANCE = 1e-2  # of a predicted IoU


@dataclass(frozen=True, slots=True)
class KnownValues:
    """Predicted IoUs of one released model.

    Attributes:
        name: As in `sam2_hf.model.checkpoints.released_models.RELEASED`.
        ious: Of the three masks.
    """

    name: str
    ious: tuple[float, float, float]


KNOWN_VALUES = (
    KnownValues("sam2_hiera_tiny", (0.0439, 0.9567, 0.1415)),
    KnownValues("sam2_hiera_small", (0.9593, 0.1633, 0.0392)),
    KnownValues("sam2_hiera_base_plus", (0.0423, 0.9815, 0.0897)),
    KnownValues("sam2_hiera_large", (0.9514, 0.0535, 0.1787)),
    KnownValues("sam2.1_hiera_tiny", (0.0316, 0.9647, 0.1029)),
    KnownValues("sam2.1_hiera_small", (0.9664, 0.1494, 0.0456)),
    KnownValues("sam2.1_hiera_base_plus", (0.0361, 0.9775, 0.1307)),
    KnownValues("sam2.1_hiera_large", (0.9648, 0.0371, 0.1898)),
)
