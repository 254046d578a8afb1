"""Session options, with presets for the original's and transformers' behavior."""

import math
import os
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch

from sam2_hf.errors import ImageError, SessionError
from sam2_hf.number_reading import read_whole, shown
from sam2_hf.processing.value_range import ValueRange, read_value_range
from sam2_hf.video.policies.distractor import DistractorPolicy
from sam2_hf.video.policies.memory_policy import MemoryPolicy, Sam2Policy
from sam2_hf.video.policies.samurai import SamuraiPolicy
from sam2_hf.video.policies.score import ScorePolicy
from sam2_hf.video.policies.tree import TreePolicy

# names for `SessionOptions.memory_policy`; two of them are joined by "+", see `ComposedPolicy`
MEMORY_POLICIES: dict[str, type[MemoryPolicy]] = {
    "sam2": Sam2Policy,
    "score": ScorePolicy,
    "samurai": SamuraiPolicy,
    "distractor": DistractorPolicy,
    "tree": TreePolicy,
}
PRESETS = ("sam2_hf", "official", "transformers")
# Options that are fixed once a session is open: its frames or records depend on them.
FIXED_OPTIONS = (
    *("frame_compat", "value_range", "memory_dtype", "keep", "window", "ram_budget"),
    *("spill_folder", "cached_features", "compile", "image_size"),
)
# Options that give up accuracy for speed, and the value that gives up none.
APPROXIMATIONS = {"every_kth_memory": 1, "image_size": None, "latency_budget": None}
IMAGE_SIDES = 32  # the trunk halves the input five times
PATCH_SIDES = 14  # SAM 3 cuts the input into patches
LEAST_WINDOW = 16  # frames; a tracked frame attends this far back
MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Options of a session; the original's options keep their names.

    Attributes:
        add_all_frames_to_correct_as_cond: Whether a correction of a tracked frame makes it a
            conditioning frame. If not, the next `propagate` overwrites the correction, the
            original's default.
        prev_sam_mask_logits: Whether a correction starts from the earlier mask.
        clear_non_cond_mem_around_input: Whether tracked memories around a prompted frame are
            dropped.
        memory_temporal_stride_for_eval: Distance between the older memories, frames.
        max_cond_frames_in_attn: Prompted frames a frame attends to, nearest first; the checkpoint's
            number if None, all if -1.
        binarize_mask_from_pts_for_mem_enc: Whether memories of prompted frames encode the
            thresholded mask instead of probabilities.
        dynamic_multimask_via_stability: Whether an unstable single mask of several clicks or a box
            is replaced by the best of three; the checkpoint's setting if None.
        non_overlap_masks: Whether results assign each pixel to at most one object.
        non_overlap_masks_for_mem_enc: Whether memories do.
        fill_hole_area: Largest hole to fill, pixels of the low-resolution mask.
        mask_prompts_at_full_resolution: Whether a given mask is encoded at full resolution instead
            of through the low-resolution mask.
        pointer_times: "fixed" scales pointer ages by the model's longest time, so clips, streams
            and videos give the same masks; "clip" shortens it for clips of fewer than 16 frames, as
            the two other implementations do.
        frame_compat: How frames are resized: "official" (bicubic, as PIL) or "transformers"
            (bilinear).
        value_range: Values of black and white: `(low, high)`, "percentile", "full", or None for
            those of the dtype; see `processing/value_range.py`.
        memory_policy: Which memories a tracked frame attends to, and which of its masks is kept, by
            a name in `MEMORY_POLICIES`: "sam2", the original's; "score", "samurai", "distractor"
            and "tree" for long videos with occlusion and look-alikes. "samurai+distractor" chooses
            masks by the first and memories by the second.
        memory_dtype: Dtype of spatial memories.
        skip_backward_from_first: Whether going backward from frame 0 visits no frame, as in the two
            other implementations; otherwise frame 0 is returned. Neither changes memories.
        keep: "all" keeps the memories and masks of every frame, in RAM and then in a file;
            "window" drops all but the last `window` frames and the prompted ones, as a live stream
            always does.
        window: Frames that a stream or `keep="window"` keeps; more where memory reaches further.
        ram_budget: Bytes of RAM for offloaded records before they spill to a file.
        spill_folder: Folder for spill files; a temporary one if None.
        cached_features: Number of frames whose image features are cached on the device.
        compile: Whether to compile encoding and tracking to graphs of fixed shapes, for GPUs: the
            first frame takes a minute or more. On a CPU the default is faster.
        approximate: Whether the three options below may be changed. They save time, and masks get
            worse; `python -m evaluation.policies` measures by how much.
        every_kth_memory: Frames of which one leaves a memory: the first, and those whose number is
            a multiple; where numbers are missing, one of so many tracked frames. Other frames cost
            no memory encoding, and later ones attend to fewer memories; with an equal
            `memory_temporal_stride_for_eval`, to as many as before.
        image_size: Side of the model's input in this session, a multiple of 32; the model's own if
            None, and always for SAM 3's tracker. Half the side takes about a quarter of the time.
        latency_budget: Seconds that `step` of a live stream may take for each frame on average. A
            frame that comes while earlier ones have taken longer gets the masks of the last one, in
            its masklet too, and leaves no memory. Pauses between frames count as time. After 8
            repeated frames one is tracked in any case, as are frames with prompts and those after
            a change of prompts, objects or options. `propagate` tracks every frame regardless.

    Raises:
        SessionError: A value is invalid.

    Example:
        >>> options = SessionOptions(non_overlap_masks=True, keep="window", window=64)
        >>> VideoSession.open(clip, model, options=options).options.window
        64
    """

    add_all_frames_to_correct_as_cond: bool = True
    prev_sam_mask_logits: bool = True
    clear_non_cond_mem_around_input: bool = False
    memory_temporal_stride_for_eval: int = 1
    max_cond_frames_in_attn: int | None = None
    binarize_mask_from_pts_for_mem_enc: bool = True
    dynamic_multimask_via_stability: bool | None = None
    non_overlap_masks: bool = False
    non_overlap_masks_for_mem_enc: bool = False
    fill_hole_area: int = 8
    mask_prompts_at_full_resolution: bool = False
    pointer_times: Literal["fixed", "clip"] = "fixed"
    frame_compat: Literal["official", "transformers"] = "official"
    value_range: ValueRange = None
    memory_policy: str = "sam2"
    memory_dtype: torch.dtype = torch.bfloat16
    skip_backward_from_first: bool = False
    keep: Literal["all", "window"] = "all"
    window: int = 32
    ram_budget: int = 512 * MIB
    spill_folder: Path | None = None
    cached_features: int = 1
    compile: bool = False
    approximate: bool = False
    every_kth_memory: int = 1
    image_size: int | None = None
    latency_budget: float | None = None

    def __post_init__(self) -> None:
        """Validate values early."""
        object.__setattr__(self, "value_range", self._read_range())
        for field in fields(self):
            if isinstance(field.default, bool):
                self._require_choice(field.name, (True, False))
        self._require_choice("pointer_times", ("fixed", "clip"))
        self._require_choice("frame_compat", ("official", "transformers"))
        self._require_choice("keep", ("all", "window"))
        self._require_policy()
        self._require_approximations()
        self._require_choice("dynamic_multimask_via_stability", (None, True, False))
        self._require_at_least("memory_temporal_stride_for_eval", 1)
        self._require_at_least("window", LEAST_WINDOW)
        self._require_at_least("cached_features", 1)
        self._require_at_least("fill_hole_area", 0)
        self._require_at_least("ram_budget", 0)
        given = self.max_cond_frames_in_attn
        limit = read_whole(given)
        if given is not None and limit != -1 and (limit is None or limit < 2):
            raise SessionError(
                f"max_cond_frames_in_attn is {shown(given)}; it must be -1 (all) or at least 2: "
                "the prompted frames before and after."
            )
        dtype = self.memory_dtype
        if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
            raise SessionError(f"memory_dtype is {shown(dtype)}; it must be a float type of torch.")
        folder = self.spill_folder
        if folder is not None and not isinstance(folder, str | os.PathLike):
            raise SessionError(f"spill_folder is {shown(folder)}; it must be a path.")

    @classmethod
    def preset(
        cls, compat: str = "sam2_hf", *, apply_postprocessing: bool = True, **changes: Any
    ) -> "SessionOptions":
        """Make the options that reproduce another implementation.

        Args:
            compat: "sam2_hf" for this package's defaults; "official" for those of the original's
                builder; "transformers" for those of transformers' video classes.
            apply_postprocessing: False turns off the three settings that the original's builder
                adds to a checkpoint's own: hole filling, binarized memories of prompted frames, and
                the stability fallback. The published video scores were measured without them.
            **changes: Fields to change.

        Raises:
            SessionError: The preset or option is unknown.

        Source: sam2/build_sam.py:117-131 and tools/vos_inference.py:425-452 @ 2b90b9f.

        Example:
            >>> options = SessionOptions.preset("official", fill_hole_area=0)
            >>> options.pointer_times
            'clip'
        """
        if not isinstance(compat, str) or compat not in PRESETS:
            raise SessionError(
                f"compat={shown(compat)} is unknown. Choose one of {', '.join(PRESETS)}."
            )
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(changes) - known):
            raise SessionError(
                f"there is no option {unknown[0]!r}. Options: {', '.join(sorted(known))}."
            )
        chosen = {
            "sam2_hf": cls(),
            "official": cls(
                add_all_frames_to_correct_as_cond=False,
                pointer_times="clip",
                skip_backward_from_first=True,
            ),
            "transformers": cls(
                add_all_frames_to_correct_as_cond=False,
                prev_sam_mask_logits=False,
                fill_hole_area=0,
                mask_prompts_at_full_resolution=True,
                pointer_times="clip",
                frame_compat="transformers",
                skip_backward_from_first=True,
            ),
        }[compat]
        if not apply_postprocessing:
            chosen = replace(
                chosen,
                fill_hole_area=0,
                binarize_mask_from_pts_for_mem_enc=False,
                dynamic_multimask_via_stability=False,
            )
        return replace(chosen, **changes)

    def require_same_fixed(self, others: "SessionOptions") -> None:
        """Refuse options that an open session cannot change to.

        Raises:
            SessionError: One of `FIXED_OPTIONS` differs.
        """
        for name in FIXED_OPTIONS:
            before, after = getattr(self, name), getattr(others, name)
            if before != after:
                raise SessionError(
                    f"{name} was {shown(before)} when the session was opened, it cannot become "
                    f"{shown(after)}. Open another session with it."
                )

    def _read_range(self) -> ValueRange:
        """Read the range, a list if from JSON."""
        try:
            return read_value_range(self.value_range)
        except ImageError as error:
            raise SessionError(str(error)) from error

    @property
    def _policy_reviews(self) -> bool:
        """Whether the memory policy chooses among the masks of a frame."""
        policy = MEMORY_POLICIES.get(self.memory_policy)
        return policy is None or policy.reviews

    def _require_policy(self) -> None:
        """Refuse an unknown memory policy, or one that other options rule out."""
        name = self.memory_policy
        parts = name.split("+") if isinstance(name, str) else [""]
        policies = [MEMORY_POLICIES.get(part) for part in parts]
        if None in policies or len(parts) > 2:
            raise SessionError(
                f"memory_policy is {shown(name)}. Choose one of {', '.join(MEMORY_POLICIES)}, or "
                "two of them joined by +: masks by the first, memories by the second."
            )
        branches = any(policy.branches for policy in policies if policy)
        if branches and len(parts) > 1:
            raise SessionError(
                f"memory_policy is {name!r}: a policy with several hypotheses chooses both masks "
                "and memories. Use it alone."
            )
        if branches and self.non_overlap_masks_for_mem_enc:
            raise SessionError(
                f"non_overlap_masks_for_mem_enc=True cannot be combined with memory_policy={name!r}"
                ", whose hypotheses of one object overlap. Leave it out."
            )
        if self.compile and self._policy_reviews:
            raise SessionError(
                f"compile=True cannot be combined with memory_policy={name!r}: compiled graphs "
                "return one mask, and the policy chooses among three. Leave out compile, or use "
                "sam2 or score."
            )

    def _require_approximations(self) -> None:
        """Refuse approximate options that are not asked for, or impossible."""
        self._require_at_least("every_kth_memory", 1)
        size, budget = self.image_size, self.latency_budget
        if size is not None and (
            (read_whole(size) or 0) < 1 or (size % IMAGE_SIDES and size % PATCH_SIDES)
        ):
            raise SessionError(
                f"image_size is {shown(size)}; it must be a positive multiple of {IMAGE_SIDES}, "
                f"for SAM 3's tracker of {PATCH_SIDES}."
            )
        is_number = isinstance(budget, int | float) and not isinstance(budget, bool)
        if budget is not None and not (is_number and 0 < budget < math.inf):
            raise SessionError(
                f"latency_budget is {shown(budget)}; it must be a number of seconds above 0."
            )
        changed = [name for name, value in APPROXIMATIONS.items() if getattr(self, name) != value]
        if changed and not self.approximate:
            raise SessionError(
                f"{changed[0]} gives up accuracy for speed, so it needs approximate=True as well."
            )
        skipping = [name for name in changed if name != "image_size"]
        if skipping and self._policy_reviews:
            raise SessionError(
                f"{skipping[0]} cannot be combined with memory_policy={self.memory_policy!r}, "
                "which has to follow the object through every frame. Use sam2 or score."
            )
        if self.every_kth_memory > 1 and self.compile:
            raise SessionError(
                "every_kth_memory cannot be combined with compile=True: compiled graphs encode a "
                "memory of every frame, so it would save nothing. Leave one of them out."
            )

    def _require_choice(self, name: str, choices: tuple[object, ...]) -> None:
        value = getattr(self, name)
        # 1 equals True but is not a valid choice
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            listed = ", ".join(map(str, choices))
            raise SessionError(f"{name} is {shown(value)}. Choose one of {listed}.")

    def _require_at_least(self, name: str, least: int) -> None:
        value = getattr(self, name)
        number = read_whole(value)
        if number is None or number < least:
            raise SessionError(
                f"{name} is {shown(value)}; it must be a whole number of at least {least}."
            )
