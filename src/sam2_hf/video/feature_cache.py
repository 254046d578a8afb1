"""Image features of the frames looked at last, shared by all objects."""

from collections import OrderedDict
from collections.abc import Callable

from sam2_hf.model.frame_memory import FrameFeatures


class FeatureCache:
    """Keep the features of a few frames; what was used longest ago goes first.

    Args:
        size: How many frames.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._features: OrderedDict[int, FrameFeatures] = OrderedDict()

    def get(self, frame: int, encode: Callable[[], FrameFeatures]) -> FrameFeatures:
        """Return the features of a frame, encoding it if they are not kept."""
        if frame not in self._features:
            while len(self._features) >= self._size:  # make room first: two would be held at once
                self._features.popitem(last=False)
            self._features[frame] = encode()
        self._features.move_to_end(frame)
        return self._features[frame]

    def discard(self, frame: int) -> None:
        """Forget a frame, whose pixels have changed."""
        self._features.pop(frame, None)

    def clear(self) -> None:
        """Forget everything, as for another model."""
        self._features.clear()

    @property
    def num_bytes(self) -> int:
        """Bytes of the kept features."""
        return sum(
            tensor.nbytes
            for features in self._features.values()
            for tensor in (features.fine_bchw, features.coarse_bchw, features.embedding_bchw)
        )
