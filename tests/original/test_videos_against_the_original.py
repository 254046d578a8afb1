"""The same calls on facebookresearch/sam2's video predictor and on ours: the same answers.

pytest -m "" --original CHECKOUT tests/original/test_videos_against_the_original.py
"""

import numpy as np
import pytest
import torch
from golden_cases import case, seeded_video_model
from original_predictor import lossless_folder, original_video_predictor

from sam2_hf import SessionOptions
from sam2_hf.original.sam2_video_predictor import SAM2VideoPredictor

FRAMES, HEIGHT, WIDTH = 6, 135, 240
CLOSE = 2e-2  # logits of up to some tens, after a dozen steps that each amplify rounding
TIED = 2e-3  # part of the pixels where two objects are equally strong but for rounding

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of other packages
]


@pytest.fixture(scope="module")
def checkout(request):
    found = request.config.getoption("--original")
    if found is None:
        pytest.skip("--original names no checkout of facebookresearch/sam2")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(lossless_folder(tmp_path_factory.mktemp("clip"), FRAMES, HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def original(checkout):
    return original_video_predictor(checkout)


@pytest.fixture
def ours():
    options = SessionOptions.preset("official", memory_dtype=torch.float32)
    return SAM2VideoPredictor.from_model(seeded_video_model(case("micro")), options)


def drawn_mask(y, x):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[y : y + 50, x : x + 40] = True
    return mask


def annotate(predictor, folder):
    """Prompt two objects, track, correct, go back, add, clear and remove; yield every answer."""
    state = predictor.init_state(folder)
    click, label = np.array([[100, 70]], np.float32), np.array([1], np.int32)
    yield predictor.add_new_points_or_box(state, 0, 2, click, label)
    yield predictor.add_new_points_or_box(state, 0, 5, box=np.array([20, 10, 90, 80], np.float32))
    yield predictor.add_new_points(
        state, 0, 2, [[0.2, 0.8]], [0], clear_old_points=False, normalize_coords=False
    )
    yield from predictor.propagate_in_video(state)
    yield predictor.add_new_points_or_box(state, 3, 2, points=[[120, 60]], labels=[1])
    yield predictor.add_new_points_or_box(
        state, 3, 2, points=[[30, 100]], labels=[0], clear_old_points=False
    )
    yield from predictor.propagate_in_video(state, 1, 2)
    yield predictor.add_new_mask(state, 4, 7, drawn_mask(40, 150))
    yield from predictor.propagate_in_video(state, start_frame_idx=4, reverse=True)
    yield predictor.clear_all_prompts_in_frame(state, 3, 2)
    yield predictor.add_new_mask(state, 5, 5, torch.from_numpy(drawn_mask(5, 20)))
    ids, frames = predictor.remove_object(state, 2)
    yield from ((frame, ids, logits) for frame, logits in frames)
    yield from predictor.propagate_in_video(state, max_frame_num_to_track=3)
    predictor.reset_state(state)
    yield predictor.add_new_points_or_box(state, 2, 1, click, label)
    yield from predictor.propagate_in_video(state)


@pytest.mark.parametrize(
    ("settings", "ties"),
    [({}, 0.0), ({"fill_hole_area": 0, "non_overlap_masks": True}, TIED)],
)
def test_every_call_answers_as_the_original_does(original, ours, folder, settings, ties):
    before = {name: getattr(original, name) for name in settings}
    for predictor in (original, ours):
        for name, value in settings.items():
            setattr(predictor, name, value)

    for theirs, mine in zip(annotate(original, folder), annotate(ours, folder), strict=True):
        far = (theirs[2] - mine[2]).abs() > CLOSE
        assert mine[:2] == (theirs[0], list(theirs[1]))
        assert mine[2].shape == theirs[2].shape
        assert float(far.float().mean()) <= ties, mine[:2]

    for name, value in before.items():
        setattr(original, name, value)
