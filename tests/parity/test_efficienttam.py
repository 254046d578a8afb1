"""EfficientTAM against its own code, on seeded weights: stored answers, and a checkout if given.

pytest --efficienttam CHECKOUT tests/parity/test_efficienttam.py
"""

import pytest
import torch
from efficienttam_peer import (
    CLICK,
    NUM_FRAMES,
    SIDE,
    VARIANTS,
    disc,
    original_answers,
    original_predictor,
    pixels,
    seeded_weights,
    small_config,
)
from peers import largest_difference

import sam2_hf
from sam2_hf import Sam2ImageProcessor, Sam2VideoInferenceSession, Sam2VideoProcessor
from sam2_hf.model.checkpoints.family_names import EFFICIENTTAM, family_to_original
from sam2_hf.video.session_options import SessionOptions

TOLERANCE = 1e-3  # logits of order 1; measured 1e-4
PROMPTS = [("none", "click"), ("none", "mask"), ("scores", "click"), ("keys", "click")]


class OriginalNames:
    """The shapes of a model by the original names."""

    def __init__(self, config):
        model = sam2_hf.Sam2VideoModel(config)
        self.names = family_to_original(EFFICIENTTAM, model.state_dict())

    def state_dict(self):
        return self.names


@pytest.fixture(scope="module", params=VARIANTS)
def pooling(request):
    return request.param


@pytest.fixture(scope="module")
def model(pooling, tmp_path_factory):
    """Our model, from an original checkpoint with seeded weights."""
    path = tmp_path_factory.mktemp("original") / "small.pt"
    config = small_config(pooling)
    torch.save({"model": seeded_weights(OriginalNames(config))}, path)
    return sam2_hf.Sam2VideoModel.from_pretrained(path, config=config).eval()


def our_answers(model, prompt):
    processor = Sam2VideoProcessor(Sam2ImageProcessor(size={"height": SIDE, "width": SIDE}))
    options = SessionOptions.preset("official", fill_hole_area=0, memory_dtype=torch.float32)
    session = Sam2VideoInferenceSession(pixels(), SIDE, SIDE, options=options)
    given = {"input_points": [[[list(CLICK)]]], "input_labels": [[[1]]]}
    given = given if prompt == "click" else {"input_masks": disc()}
    processor.add_inputs_to_inference_session(session, 0, 1, **given)
    outputs = model.propagate_in_video_iterator(session, start_frame_idx=0)
    return torch.stack([output.pred_masks[0, 0] for output in outputs])


@pytest.mark.parametrize("prompt", ["click", "mask"])
def test_an_object_is_tracked_as_the_original_did(model, pooling, prompt, golden):
    if (pooling, prompt) not in PROMPTS:
        pytest.skip("not stored")
    stored = golden("efficienttam")

    found = our_answers(model, prompt)[torch.from_numpy(stored["frames"])]

    wanted = torch.from_numpy(stored[f"{pooling}/{prompt}"])
    assert wanted.std() > 0.5
    assert largest_difference(found, wanted) <= TOLERANCE


def test_pooling_changes_what_is_found(golden):
    stored = golden("efficienttam")
    plain = stored["none/click"]

    # frame 1 has a single memory, which is not pooled
    for pooled in (stored["scores/click"], stored["keys/click"]):
        assert abs(pooled[1] - plain[1]).max() < TOLERANCE < 0.01 < abs(pooled[2] - plain[2]).max()


@pytest.mark.parametrize("prompt", ["click", "mask"])
def test_an_object_is_tracked_as_by_its_own_code(model, pooling, prompt, request):
    checkout = request.config.getoption("--efficienttam")
    if checkout is None:
        pytest.skip("--efficienttam names no checkout of EfficientTAM")
    pytest.importorskip("hydra", reason="its own code needs hydra-core")

    wanted = original_answers(original_predictor(checkout, pooling), prompt)

    assert len(wanted) == NUM_FRAMES
    assert largest_difference(our_answers(model, prompt), wanted) <= TOLERANCE
