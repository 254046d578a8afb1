"""facebookresearch/sam2 as a peer: its modules from a checkout, with given weights.

Needs hydra-core and iopath. torchvision must not be installed, since transformers' model fails with
it; so the original's mask generation is not timed.
"""

import contextlib
import importlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from sam2_hf.model.checkpoints.checkpoint_names import to_original

CONFIGS = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
CONFIG = "configs/sam2.1/sam2.1_hiera_{letter}.yaml"


class OriginalModel:
    """The original's video predictor, which is also its image model.

    Args:
        checkout: Folder of the repository.
        size: "tiny", "small", "base_plus" or "large".
        weights: A state dict by this package's names.
        dtype: float32, or bfloat16 for autocast, as the original is run.
    """

    def __init__(
        self, checkout: Path, size: str, weights: Mapping[str, Tensor], dtype: torch.dtype
    ) -> None:
        if not (checkout / "sam2" / "build_sam.py").is_file():
            raise SystemExit(f"{checkout} is not a checkout of facebookresearch/sam2.")
        sys.path.insert(0, str(checkout))
        try:
            build = importlib.import_module("sam2.build_sam")
        except ImportError as error:
            raise SystemExit(
                f"the original cannot be imported: {error}. Install hydra-core and iopath."
            ) from error
        finally:
            sys.path.remove(str(checkout))
        name = CONFIG.format(letter=CONFIGS[size])
        self.model: Any = build.build_sam2_video_predictor(name, device="cpu")
        _, unknown = self.model.load_state_dict(to_original(weights), strict=False)
        if unknown:
            raise SystemExit(f"the original does not know the weight {unknown[0]}.")
        self.dtype = dtype

    def running(self) -> contextlib.AbstractContextManager[Any]:
        """Return its inference context."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def encode(self, pixels: Tensor) -> list[Tensor]:
        """Encode a picture: maps at strides 4, 8 and 16, `(1, c, h, w)`."""
        with self.running():
            features = self.model.forward_image(pixels)
            _, maps, _, sizes = self.model._prepare_backbone_features(features)
            maps[-1] = maps[-1] + self.model.no_mem_embed
            return [
                m.permute(1, 2, 0).unflatten(-1, size) for m, size in zip(maps, sizes, strict=True)
            ]

    def click(self, maps: list[Tensor], xy: Tensor, size: tuple[int, int]) -> Tensor:
        """Segment a click at `xy`, model pixels: three masks `(1, 3, *size)`, bool."""
        with self.running():
            labels = torch.ones(1, 1, dtype=torch.int32)
            sparse, dense = self.model.sam_prompt_encoder(
                points=(xy.reshape(1, 1, 2), labels), boxes=None, masks=None
            )
            logits = self.model.sam_mask_decoder(
                image_embeddings=maps[-1],
                image_pe=self.model.sam_prompt_encoder.get_dense_pe(),
                sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense,
                multimask_output=True,
                repeat_image=False,
                high_res_features=maps[:2],
            )[0]
        return functional.interpolate(logits.float(), size, mode="bilinear") > 0

    def track(self, folder: Path, clicks: list[tuple[float, float]]) -> Iterator[Tensor]:
        """Track clicked objects through a folder of JPEGs: logits of every frame at its size."""
        with self.running():
            state = self.model.init_state(str(folder))
            for number, xy in enumerate(clicks, 1):
                self.model.add_new_points_or_box(state, 0, number, points=[xy], labels=[1])
            steps = self.model.propagate_in_video(state)
        while True:
            with self.running():
                found = next(steps, None)
            if found is None:
                return
            yield found[2][:, 0]
