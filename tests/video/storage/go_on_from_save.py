"""Loads a saved session in a process of its own and tracks on; run by test_session_checkpoint.py.

python go_on_from_save.py SAVE START OUT.safetensors
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
sys.path[:0] = [str(ROOT / folder) for folder in ("tests/golden", "tests/parity", "tests/video")]

from golden_cases import case, seeded_video_model  # noqa: E402 - the paths come first
from safetensors.torch import save_file  # noqa: E402
from seeded_inputs import clip  # noqa: E402

from sam2_hf.video.compat.transformers_session import Sam2VideoInferenceSession  # noqa: E402


def clip_frames():
    """The clip that both processes track through."""
    return list(clip(12, 135, 240, 3))


def main(save, start, out):
    """Track from frame `start` to the end and write the logits."""
    model = seeded_video_model(case("micro"))
    with Sam2VideoInferenceSession.load(save, clip_frames(), model) as session:
        logits = {str(r.frame): r.logits_bhw.clone() for r in session.propagate(int(start))}
        save_file(logits, out)


if __name__ == "__main__":
    main(*sys.argv[1:])
