"""Store what EfficientTAM's own code answers with seeded weights: tests/golden/efficienttam.npz.

    PYTHONPATH=HYDRA_AND_OMEGACONF python tests/golden/make_efficienttam.py CHECKOUT
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "parity"), str(HERE.parents[1] / "src")]

from efficienttam_peer import VARIANTS, original_answers, original_predictor  # noqa: E402

STORED = [0, 1, 4, 7]  # frames


def main() -> None:
    arrays = {}
    for pooling in VARIANTS:
        model = original_predictor(Path(sys.argv[1]), pooling)
        for prompt in ("click", "mask") if pooling == "none" else ("click",):
            answers = original_answers(model, prompt)
            arrays[f"{pooling}/{prompt}"] = answers[STORED].numpy()
    np.savez_compressed(HERE / "efficienttam.npz", frames=np.array(STORED), **arrays)


if __name__ == "__main__":
    main()
