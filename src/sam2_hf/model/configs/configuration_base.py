"""Base of all configs: loads bundled checkpoints by name and finds the class that a file needs.

Other models share this package's architecture except for a few parts. Their files carry a
`model_type` of their own, and their image encoder tells which family they are of, so
`Sam2Config.from_pretrained` and `Sam2VideoConfig.from_pretrained` read them all.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from transformers.configuration_utils import PreTrainedConfig

from sam2_hf.hub_code import saves_code, uploads_code
from sam2_hf.model.checkpoints.bundled_models import bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointError

from .configuration_checks import checked_config, read_json_object
from .configuration_rules import ENCODERS, MODEL_TYPES

TRACKER_OF_SAM3 = ("sam3_video", "tracker_config")  # facebook/sam3: a detector and a tracker

# A field left out is None until `__post_init__` fills it in.
UNSET: Any = None
if TYPE_CHECKING:
    Ints = list[int]
    IntOrInts = int | list[int]
    Sizes = list[list[int]]
else:
    Ints = list[int] | None
    IntOrInts = int | list[int] | None
    Sizes = list[Any] | None


class FromBundled:
    """Mixin for configs: loads bundled checkpoints by name, validates what it reads, saves code.

    Attributes:
        reads: Values of `model_type` of the files that this class reads as its own.
    """

    reads: ClassVar[tuple[str, ...]] = ()

    save_pretrained = saves_code(PreTrainedConfig.save_pretrained)
    _upload_modified_files = uploads_code(PreTrainedConfig._upload_modified_files)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *args: Any, **kwargs: Any
    ) -> Self:
        """Load from a bundled checkpoint, a folder or the Hub; else as the base class does.

        Raises:
            CheckpointError: The file is damaged, or no model can be built from it.
        """
        name = pretrained_model_name_or_path
        source = bundled_folder(name) or name
        load = super().from_pretrained  # type: ignore[misc]
        if (path := _local_config(source, kwargs.get("subfolder") or "")) is not None:
            read_json_object(path)
        made: Self = checked_config(lambda: load(source, *args, **kwargs), str(name))
        return made

    @classmethod
    def get_config_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read a saved config as a dict, and refuse another network's.

        Raises:
            CheckpointError: It is not the config of a SAM 2.
        """
        found: tuple[dict[str, Any], dict[str, Any]] = super().get_config_dict(  # type: ignore[misc]
            pretrained_model_name_or_path, **kwargs
        )
        fields = tracker_fields(found[0])
        kind = fields.get("model_type")
        if kind is not None and kind not in MODEL_TYPES:
            raise CheckpointError(
                f"{pretrained_model_name_or_path} is the config of a model of type {kind!r}, not "
                f"of a SAM 2 ({', '.join(MODEL_TYPES)})."
            )
        if kind in cls.reads:
            fields = _with_encoder(fields) | {"model_type": cls.model_type}  # type: ignore[attr-defined]
        vision = fields.get("vision_config")
        key = cls.base_config_key  # type: ignore[attr-defined]
        if key and key not in fields and isinstance(vision, dict) and key in vision:
            return vision, found[1]  # the base class looks for a part on the first level alone
        return fields, found[1]

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:  # noqa: ANN401 - as the base class
        """Build a config from its fields, of the class for its image encoder."""
        family = _family(cls, _with_encoder(config_dict))
        if "vision_config" in family.sub_configs_defaults and "model_type" in config_dict:
            config_dict = config_dict | {"model_type": family.model_type}
        return super(FromBundled, family).from_dict(config_dict, **kwargs)  # type: ignore[misc]


def tracker_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a SAM 3 config that tracks; of any other config all fields."""
    kind, part = TRACKER_OF_SAM3
    tracker = fields.get(part)
    is_sam3 = fields.get("model_type") == kind and isinstance(tracker, dict)
    return {"model_type": "sam3_tracker_video"} | tracker if is_sam3 else fields  # type: ignore[operator]


def _with_encoder(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Add the kind of image encoder that the model type implies, if the fields do not state it."""
    vision = fields.get("vision_config")
    kind = ENCODERS.get(fields.get("model_type") or "")
    if kind is None or not (vision is None or isinstance(vision, dict)):
        return dict(fields)
    stated = {name: value for name, value in (vision or {}).items() if value is not None}
    return {**fields, "vision_config": {"model_type": kind} | stated}


def _family(base: type[Any], fields: Mapping[str, Any]) -> type[Any]:
    """Find the class for an image encoder among a class and its subclasses."""
    vision = fields.get("vision_config")
    stated = vision.get("model_type") if isinstance(vision, dict) else None
    kind = stated or getattr(vision, "model_type", None)
    for family in (base, *base.__subclasses__()):
        part = family.sub_configs_defaults.get("vision_config")
        if part is not None and part.config_class.model_type == kind:
            return family
    return base


def fill(config: PreTrainedConfig, **defaults: Any) -> None:
    """Set each field that is None to a fresh list."""
    for name, value in defaults.items():
        if getattr(config, name) is None:
            setattr(config, name, value)


def _local_config(source: str | os.PathLike[str], subfolder: str) -> Path | None:
    """Find the config of a folder on disk, or a config file itself."""
    path = Path(source)
    path = path / subfolder / "config.json" if path.is_dir() else path
    return path if path.is_file() else None
