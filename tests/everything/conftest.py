"""Made-up videos whose truth is known, and a session with a model that reads it."""

import numpy as np
import pytest

from evaluation.everything.perfect_model import PerfectModel
from sam2_hf import VideoEverythingOptions, VideoSession
from sam2_hf.everything.everything_tracker import EverythingTracker

SIZE = (48, 64)


class Squares:
    """A video of squares that move to the right, one pixel a frame, on frames of unequal gray.

    Args:
        num_frames: Its length.
        objects: Object id -> (left on frame 0, top, side, frames on which it is hidden).
    """

    def __init__(self, num_frames, objects):
        self.num_frames = num_frames
        self.objects = objects

    def masks(self, frame):
        found = {}
        for number, (left, top, side, hidden) in self.objects.items():
            mask = np.zeros(SIZE, bool)
            if frame not in hidden:
                mask[top : top + side, left + frame % 8 : left + frame % 8 + side] = True
            found[number] = mask
        return found

    def pictures(self):
        """Frame f has gray level f, which tells frames apart, and textured objects."""
        made = []
        for frame in range(self.num_frames):
            picture = np.full((*SIZE, 3), 100, np.uint8)
            picture[:, :, 1] = np.linspace(20, 200, SIZE[1]).astype(np.uint8)
            for number, mask in self.masks(frame).items():
                picture[mask] = (50 * number % 256, 200, 30 * number % 256)
            picture[0, 0] = frame
            picture[0:3, 0:3] = frame
            made.append(picture)
        return made


class Run:
    """A tracker on a video, with everything it returned.

    Args:
        video: The made-up video.
        **options: Of everything-mode, or `session` options.
    """

    def __init__(self, video, session_options=None, find=None, **options):
        self.video = video
        pictures = video.pictures()
        model = PerfectModel(pictures, SIZE, video.masks, side=64)
        chosen = VideoEverythingOptions(**{"key_frame_every": 4, **options})
        self.session = VideoSession.open(
            pictures,
            model,
            keep="window",
            fill_hole_area=0,
            non_overlap_masks=chosen.layout == "panoptic",
            **(session_options or {}),
        )
        self.find = find or model.find_masks
        self.tracker = EverythingTracker(self.session, self.find, chosen)

    def results(self):
        """Track to the end."""
        return list(self.tracker.run())

    def ids_by_object(self):
        """For each true object the ids that its true mask had, in order."""
        found = {number: [] for number in self.video.objects}
        for result in self.results():
            truth = self.video.masks(result.frame)
            for number, mask in truth.items():
                same = [
                    n for n, m in result.masks.items() if np.array_equal(m, mask) and mask.any()
                ]
                if same and found[number][-1:] != same:
                    found[number] += same
        return found


@pytest.fixture
def squares():
    """Make a video of squares."""
    return Squares


@pytest.fixture
def run_on():
    """Run the tracker with a model that reads the truth."""
    return Run
