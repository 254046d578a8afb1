"""Image features of the frames looked at last, shared by all objects."""

from collections import OrderedDict
from collections.abc import Callable

from sam2_hf.model.outputs import FrameFeatures


class FeatureCache:
    """Keep the features of a few frames; what was used longest ago goes first.

    Args:
        size: How many frames.

    Attributes:
        size: May be changed; the next frame that is encoded makes room.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._features: OrderedDict[int, FrameFeatures] = OrderedDict()

    def get(self, frame: int, encode: Callable[[], FrameFeatures]) -> FrameFeatures:
        """Return the features of a frame, encoding it if they are not kept."""
        if frame not in self._features:
            self._make_room()  # first: two would be held at once
            self._features[frame] = encode()
        self._features.move_to_end(frame)
        return self._features[frame]

    def look_up(self, frame: int) -> FrameFeatures | None:
        """Return the features of a frame if they are kept."""
        return self._features.get(frame)

    def put(self, frame: int, features: FrameFeatures) -> None:
        """Keep features that the caller has."""
        self._features.pop(frame, None)
        self._make_room()
        self._features[frame] = features

    def discard(self, frame: int) -> None:
        """Forget a frame, whose pixels have changed."""
        self._features.pop(frame, None)

    def clear(self) -> None:
        """Forget everything, as for another model."""
        self._features.clear()

    def _make_room(self) -> None:
        while self._features and len(self._features) >= self.size:
            self._features.popitem(last=False)

    @property
    def num_bytes(self) -> int:
        """Bytes of the kept features."""
        return sum(
            tensor.nbytes
            for features in self._features.values()
            for tensor in (features.fine_bchw, features.coarse_bchw, features.embedding_bchw)
        )
