"""The shortest training there is: one clip, until the session follows its shapes."""

import numpy as np
import torch

from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.training.objective import Sam2VideoForTraining
from sam2_hf.training.prompt_simulation import PromptSchedule
from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession
from tests.small_checkpoint import small_config
from tests.training.moving_shapes import as_batch, moving_shapes

GOOD = 0.95  # J; masks of 16 x 16 logits cannot be much better
MAX_STEPS, STEPS_BETWEEN = 500, 50
RATE, WARM_UP, LAST_PACE = 2e-3, 20, 0.1
SCHEDULE = PromptSchedule(corrections=1, max_prompted_frames=1, max_corrected_frames=1)


def fresh_model():
    """A small model that draws one mask: of three, each would soon stand for one shape."""
    torch.manual_seed(0)
    config = small_config(
        multimask_output_in_sam=False,
        memory_attention_num_layers=1,
        memory_attention_dropout=0.0,
        memory_attention_rope_dropout=0.0,
    )
    return Sam2VideoModel(config)


def learn(objective, optimizer, batch, steps):
    """Take some steps; the rate falls all the way to the last one."""
    for step in steps:
        pace = min(1.0, (step + 1) / WARM_UP, max(LAST_PACE, 1.0 - step / MAX_STEPS))
        optimizer.param_groups[0]["lr"] = RATE * pace
        output = objective(*batch, seeds=torch.tensor([step]), plan_seed=step)
        optimizer.zero_grad()
        output["loss"].backward()
        torch.nn.utils.clip_grad_norm_(objective.parameters(), 1.0)
        optimizer.step()


def followed(model, frames, masks, *, with_clicks):
    """Mean J of both shapes over the frames after the first, as a session follows them."""
    session = Sam2VideoInferenceSession.open(list(frames), model.eval())
    for shape in range(2):
        if with_clicks:
            y, x = np.argwhere(masks[shape, 0]).mean(axis=0)
            session.click(0, shape, (float(x), float(y)))
        else:
            session.mask(0, shape, masks[shape, 0])
    found = {result.frame: result.masks for result in session.propagate()}
    model.train()
    pairs = [(found[t][shape], masks[shape, t]) for t in range(1, len(frames)) for shape in (0, 1)]
    return np.mean([(ours & true).sum() / (ours | true).sum() for ours, true in pairs])


def test_one_clip_is_learned_by_heart(one_thread):
    frames, masks = moving_shapes()
    model = fresh_model()
    objective, batch = Sam2VideoForTraining(model, SCHEDULE), as_batch((frames, masks))
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.01)
    scores = [followed(model, frames, masks, with_clicks=clicks) for clicks in (False, True)]
    assert max(scores) < 0.5

    for begin in range(0, MAX_STEPS, STEPS_BETWEEN):
        learn(objective, optimizer, batch, range(begin, begin + STEPS_BETWEEN))
        scores = [followed(model, frames, masks, with_clicks=clicks) for clicks in (False, True)]
        if min(scores) >= GOOD:
            break

    assert min(scores) >= GOOD
