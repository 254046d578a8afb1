"""Configuration of a training run: all settings as frozen dataclasses, as in YAML."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # it is public

from sam2_hf.data.config import SourceConfig
from sam2_hf.errors import TrainingError
from sam2_hf.model.mask_losses import LossRules

from .prompt_simulation import PromptSchedule


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """Optimizer and learning-rate schedule.

    Attributes:
        kind: "adamw", or "muon" for matrices, with AdamW for the other parameters.
        learning_rate: Peak learning rate.
        vision_learning_rate: That of the vision encoder (trunk and neck); the same if None.
        vision_begins: Steps during which the vision encoder is frozen. From scratch, the decoder
            learns what a click means while features are fixed, and rarely while they change.
        layer_decay: Factor of the rate from each block of the trunk to the one before it; 1 for
            none. Position tables keep the full rate.
        weight_decay: Weight decay; always 0 for biases and norms.
        betas: AdamW's two moving averages.
        clip_norm: Maximum global gradient norm; None for no limit.
        warmup_steps: Steps of linear warm-up.
        schedule: "cosine" decays to `final_share`, "constant" does not decay.
        final_share: Fraction of the rate at the end.
    """

    kind: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 5e-6
    vision_learning_rate: float | None = None
    vision_begins: int = 0
    layer_decay: float = 1.0
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.999)
    clip_norm: float | None = 0.1
    warmup_steps: int = 0
    schedule: Literal["cosine", "constant"] = "cosine"
    final_share: float = 0.1

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        for name in ("learning_rate", "vision_learning_rate", "clip_norm"):
            value = getattr(self, name)
            require(value is None or value > 0, name, value, "above 0")
        require(0 < self.layer_decay <= 1, "layer_decay", self.layer_decay, "above 0, at most 1")
        require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        require(all(0 <= b < 1 for b in self.betas), "betas", self.betas, "from 0, below 1")
        for name in ("warmup_steps", "vision_begins"):
            require(getattr(self, name) >= 0, name, getattr(self, name), "0 or more")
        require(0 <= self.final_share <= 1, "final_share", self.final_share, "from 0 to 1")


@dataclass(frozen=True, slots=True)
class LoraConfig:
    """Low-rank adapters (LoRA) instead of full fine-tuning; needs the package peft.

    Attributes:
        rank: Rank of an adapter.
        alpha: Adapters are scaled by `alpha / rank`.
        dropout: Dropout at their input.
        targets: Suffixes of the names of linear layers to adapt.
        also: Patterns of names of parameters to train fully in addition; the rest is frozen.
        merge: Whether saved models have the adapters merged into their weights, so that they load
            without peft. The adapters are always saved as well.
    """

    rank: int = 8
    alpha: float = 16.0
    dropout: float = 0.0
    targets: tuple[str, ...] = ("attn.qkv", "attn.proj")
    also: tuple[str, ...] = ()
    merge: bool = False

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        require(self.rank >= 1, "rank", self.rank, "1 or more")
        require(self.alpha > 0, "alpha", self.alpha, "above 0")
        require(0 <= self.dropout < 1, "dropout", self.dropout, "from 0, below 1")
        require(bool(self.targets), "targets", self.targets, "suffixes of layer names")
        if self.also and not self.merge:
            raise TrainingError(
                f"also is {list(self.also)} and merge is false, but fully trained parameters are "
                "not part of the adapters and would be lost. Set merge: true."
            )


@dataclass(frozen=True, slots=True)
class DenseConfig:
    """Training with many clicks on a photo that is decoded once; see `DenseObjective`.

    Attributes:
        clicks: Maximum number of clicked cells of a photo.
        boxes: Probability that the photos of a step are prompted with boxes instead.
        beside_prompts: Weight of its loss relative to that of separately decoded prompts on photos;
            0 trains without those, and without memory.
    """

    clicks: int = 32
    boxes: float = 0.0
    beside_prompts: float = 0.0

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        require(self.clicks >= 1, "clicks", self.clicks, "1 or more")
        require(0 <= self.boxes <= 1, "boxes", self.boxes, "from 0 to 1")
        beside = self.beside_prompts
        require(beside >= 0, "beside_prompts", beside, "0 or more")


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """Validation during training.

    Photos (`num_frames: 1`) get one click at the center of each object; clips (`num_frames: 0` for
    whole videos) get the true masks on the first frame.

    Attributes:
        sources: Validation data; empty for no validation.
        every: Steps between validations.
        max_items: Maximum number of photos or clips per source; None for all.
        max_objects: Maximum number of objects of a photo or clip, largest first; None for all. The
            limits of area are those of each source; its `max_objects` and `batch_size` are ignored.
    """

    sources: tuple[SourceConfig, ...] = ()
    every: int = 1000
    max_items: int | None = None
    max_objects: int | None = None

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        require(self.every >= 1, "every", self.every, "1 or more")
        for name in ("max_items", "max_objects"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "1 or more")


@dataclass(frozen=True, slots=True)
class LoggingConfig:
    """Logging of a run.

    Attributes:
        every: Steps between log lines.
        picture_every: Steps between pictures of predictions; 0 for none.
        pictures: Rows of such a picture.
        trackers: Names of experiment trackers that get the same numbers, the pictures and the
            settings, as in `accelerate.Accelerator(log_with=...)`: "tensorboard", "wandb",
            "trackio", ...; each needs its package.
        tensorboard: The same as "tensorboard" among the trackers, as earlier versions have it.
    """

    every: int = 20
    picture_every: int = 1000
    pictures: int = 6
    trackers: tuple[str, ...] = ()
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        if self.tensorboard and "tensorboard" not in self.trackers:
            object.__setattr__(self, "trackers", (*self.trackers, "tensorboard"))
        require(self.every >= 1, "every", self.every, "1 or more")
        require(self.picture_every >= 0, "picture_every", self.picture_every, "0 or more")
        require(self.pictures >= 1, "pictures", self.pictures, "1 or more")


@dataclass(frozen=True, slots=True)
class CheckpointConfig:
    """Checkpoints of a run.

    Attributes:
        every: Steps between checkpoints.
        keep: Number of checkpoints kept, the newest.
        dtype: Type of the weights in saved model folders.
    """

    every: int = 500
    keep: int = 2
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"

    def __post_init__(self) -> None:
        """Refuse invalid values."""
        require(self.every >= 1, "every", self.every, "1 or more")
        require(self.keep >= 1, "keep", self.keep, "1 or more")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """A training run.

    Attributes:
        model: Hub id, folder, original `.pt`, or "sam2-hiera-micro".
        output: Folder for checkpoints, logs and models.
        data: Data sources; each step draws from one of them, by weight.
        steps: Steps of the whole run; either this or `epochs`.
        epochs: Passes over the data.
        from_scratch: Whether weights are initialized randomly; then only the model's config is
            read.
        image_size: Side of the square input, model pixels; the model's own if None.
        architecture: Overrides of the model's config, with dotted names as in its config.json, such
            as `vision_config.backbone_config.global_attention_blocks`.
        seed: Seed of everything random.
        precision: "bf16" and "fp16" compute in half precision, with weights in float32; "auto" uses
            bf16 where it is faster.
        gradient_accumulation: Micro-batches of a step per process.
        gradient_checkpointing: Whether to save memory by recomputing activations.
        compile: Whether to `torch.compile` the blocks of the trunk.
        workers: Data workers per training process.
        on_bad_data: Whether a damaged picture or clip is skipped and counted, or ends the run.
        prompts: Simulated prompts.
        losses: Losses and their weights.
        dense: Training with many clicks on a photo, alone or beside prompts; None for prompts only.
        optimizer: Optimizer and schedule.
        drop_path: Stochastic depth rate of the last block of the trunk, rising from 0 at the first.
        ema_decay: Decay of a moving average of the weights, which is then validated and saved; None
            for no average.
        frozen: Patterns of names of frozen parameters, such as `vision_encoder.*`.
        lora: Adapters; None for full fine-tuning.
        validation: Validation during training.
        logging: Logging.
        checkpoints: Checkpoints.
        push: Hub repo, `owner/name`, to push the final model to.
    """

    model: str
    output: str
    data: tuple[SourceConfig, ...]
    steps: int | None = None
    epochs: float | None = None
    from_scratch: bool = False
    image_size: int | None = None
    architecture: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    precision: Literal["auto", "no", "bf16", "fp16"] = "no"
    gradient_accumulation: int = 1
    gradient_checkpointing: bool = False
    compile: bool = False
    workers: int = 2
    on_bad_data: Literal["skip", "raise"] = "skip"
    prompts: PromptSchedule = field(default_factory=PromptSchedule)
    losses: LossRules = field(default_factory=LossRules)
    dense: DenseConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    drop_path: float = 0.0
    ema_decay: float | None = None
    frozen: tuple[str, ...] = ()
    lora: LoraConfig | None = None
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    logging: LoggingConfig = field(default_factory=LoggingConfig)
    checkpoints: CheckpointConfig = field(default_factory=CheckpointConfig)
    push: str | None = None

    def __post_init__(self) -> None:
        """Refuse invalid or contradictory values."""
        require(bool(self.model), "model", self.model, "a Hub id, a folder or a file")
        require(bool(self.output), "output", self.output, "a folder")
        require(bool(self.data), "data", self.data, "a list of one source or more")
        if (self.steps is None) == (self.epochs is None):
            raise TrainingError(
                f"steps is {self.steps} and epochs is {self.epochs}: give one of them, to say how "
                "long to train."
            )
        for name in ("steps", "gradient_accumulation"):
            value = getattr(self, name)
            require(value is None or value >= 1, name, value, "1 or more")
        require(self.epochs is None or self.epochs > 0, "epochs", self.epochs, "above 0")
        require(self.workers >= 0, "workers", self.workers, "0 or more")
        require(self.seed >= 0, "seed", self.seed, "0 or more")
        for name in ("drop_path", "ema_decay"):
            value = getattr(self, name)
            require(value is None or 0 <= value < 1, name, value, "from 0, below 1")
        if self.push is not None:
            _check_repo(self.push)


def _check_repo(name: str) -> None:
    """Refuse an invalid repo name before hours of training."""
    try:
        validate_repo_id(name)
    except HFValidationError as error:
        raise TrainingError(f"push is {name!r}, but it must be OWNER/NAME: {error}") from error


def require(is_fine: bool, name: str, value: object, wanted: str) -> None:  # noqa: FBT001
    """Check a setting.

    Raises:
        TrainingError: It is invalid.
    """
    if not is_fine:
        raise TrainingError(f"{name} is {value}, but it must be {wanted}.")
