"""Pictures of plain regions as a source: endless, and of nothing but what it makes up itself."""

import numpy as np

from sam2_hf.errors import DataError

from .clip_choice import sample_clip
from .clip_source import ClipSource, fingerprint
from .clips import Clip
from .data_config import SourceConfig
from .recording import ClipRecording, Recording
from .source_folders import check_options
from .synthetic_regions import region_clip

LENGTH = 2**20  # of an epoch; each is another one
SIDE = 256  # pixels, where nobody says how large
USUAL_FRAMES = 8  # where num_frames is 0


class RegionsSource(ClipSource):
    """Pictures, or clips where `num_frames` is above 1, each from the chance it is given.

    Args:
        config: How clips are taken; there is no path and there are no options.

    Raises:
        DataError: It has a path or options.
    """

    def __init__(self, config: SourceConfig) -> None:
        super().__init__(config)
        check_options(config, ())
        if config.path:
            raise DataError(
                f"{config.label}: the kind regions makes everything up, so it takes no path. "
                "Leave it out, or choose the kind synthetic, which looks at photos."
            )

    def __len__(self) -> int:
        return LENGTH

    def name(self, item: int) -> str:
        """See [`ClipSource.name`]."""
        return f"regions {item}"

    def fingerprint(self) -> str:
        """See [`ClipSource.fingerprint`]; there is nothing that could change."""
        return fingerprint(())

    def recording(self, item: int, rng: np.random.Generator | None = None) -> Recording:
        """Make a clip up; without `rng` the number of the item decides alone."""
        return self._recording(rng or np.random.default_rng(item), SIDE)

    def draw_clip(self, item: int, image_size: int, rng: np.random.Generator) -> Clip:
        """Make a clip up at the model's input size."""
        return sample_clip(self._recording(rng, image_size), self.config, image_size, rng)

    def _recording(self, rng: np.random.Generator, side: int) -> Recording:
        return ClipRecording(region_clip(rng, side, self.config.num_frames or USUAL_FRAMES))
