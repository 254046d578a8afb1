"""Arguments of `pipeline` about loading, as in transformers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedConfig

from sam2_hf.errors import OptionError, PromptError
from sam2_hf.model.checkpoints.bundled_models import bundled_folder
from sam2_hf.model.configs.configuration_sam2_video import Sam2VideoConfig
from sam2_hf.processing.pixel_values import PixelRules
from sam2_hf.video.video_processing_sam2_video import (
    Sam2VideoVideoProcessor,
    checkpoint_pixels,
    saved_pixels,
)

from .encoded_image import Processor
from .loading import (
    Device,
    Dtype,
    default_device,
    load_image_processor,
    loading_options,
    read_device,
    read_dtype,
    where_or_id,
)

DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")  # here all mean one device

HUB_OPTIONS = ("cache_dir", "force_download", "local_files_only", "proxies", "subfolder")
CHANNELS = 3  # to which a single number of a normalization applies
MODEL_OPTIONS = {
    *HUB_OPTIONS,
    *("config", "revision", "token", "trust_remote_code", "code_revision"),
    *("dtype", "torch_dtype", "device_map", "max_memory", "offload_folder", "offload_buffers"),
    *("attn_implementation", "ignore_mismatched_sizes", "key_mapping", "quantization_config"),
    *("low_cpu_mem_usage", "state_dict", "use_safetensors", "variant", "weights_only"),
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PipelineArguments:
    """Arguments of `transformers.pipeline` about loading, with the same meaning.

    Attributes:
        config: Config of the model, or its source; by default the model's own.
        tokenizer: None, since SAM 2 reads no text.
        feature_extractor: An older name of `image_processor`.
        image_processor: Image processor, or a processor that has one, or its source.
        video_processor: Video processor, for video pipelines only.
        processor: A processor, whose image or video processor is used, or its source.
        revision: Branch, tag or commit of the Hub repo.
        use_fast: Without effect: there is no tokenizer.
        token: Token for the Hub; True for the one of `hf auth login`.
        device: Device of the model, such as "cuda:1", 1 or -1 (the CPU).
        device_map: Placement while loading: "auto" for a GPU if available, a device, or a
            dictionary from parts of the model to devices. Not together with `device`.
        dtype: Type of the weights, such as "bfloat16" or "int8"; "auto" for the saved one.
        torch_dtype: An older name of `dtype`.
        trust_remote_code: Without effect: code of a repo is never run.
        model_kwargs: More arguments of `from_pretrained`, such as `attn_implementation`.
        pipeline_class: A subclass of the task's class.
        framework: "pt" or None.
        local_files_only: Whether to stay away from the Hub.
        code_revision: Without effect, as `trust_remote_code`.

    Raises:
        PromptError: A value cannot be used, or two arguments contradict each other.
    """

    config: Any = None
    tokenizer: Any = None
    feature_extractor: Any = None
    image_processor: Any = None
    video_processor: Any = None
    processor: Any = None
    revision: str | None = None
    use_fast: bool | None = None
    token: str | bool | None = None
    device: Device | None = None
    device_map: Any = None
    dtype: Dtype | None = None
    torch_dtype: Dtype | None = None
    trust_remote_code: bool | None = None
    model_kwargs: Mapping[str, Any] | None = None
    pipeline_class: Any = None
    framework: str | None = None
    local_files_only: bool | None = None
    code_revision: str | None = None

    def __post_init__(self) -> None:
        self._check_types()
        if self.framework not in (None, "pt"):
            raise PromptError(f"framework is {self.framework!r}, only PyTorch is supported: 'pt'.")
        if self.tokenizer is not None:
            raise PromptError("SAM 2 reads no text, so there is no tokenizer. Leave it out.")
        more = self.model_kwargs or {}
        for name in more:
            if name not in MODEL_OPTIONS | Sam2VideoConfig().to_dict().keys():
                raise OptionError("model_kwargs", name, MODEL_OPTIONS)
        for name in ("dtype", "torch_dtype", "device_map", "config", "revision", "token"):
            if name in more and getattr(self, name) is not None:
                raise PromptError(
                    f"{name} is given both as an argument and in model_kwargs. Give it once."
                )
        self.chosen_dtype()
        self._check_placement()

    @classmethod
    def names(cls) -> frozenset[str]:
        """List the arguments."""
        return frozenset(field.name for field in fields(cls))

    def chosen_dtype(self) -> torch.dtype | str | None:
        """Return the type of the weights, given under either name."""
        more = self.model_kwargs or {}
        named = {
            "dtype": self.dtype if self.dtype is not None else more.get("dtype"),
            "torch_dtype": (
                self.torch_dtype if self.torch_dtype is not None else more.get("torch_dtype")
            ),
        }
        given = {name: read_dtype(dtype) for name, dtype in named.items() if dtype is not None}
        if len(set(given.values())) > 1:
            raise PromptError(
                f"dtype is {named['dtype']!r} and torch_dtype is {named['torch_dtype']!r}. They "
                "are two names of one argument: give one."
            )
        return next(iter(given.values()), None)

    def class_for(self, kind: type) -> type:
        """Choose the pipeline's class: the task's, or the caller's subclass of it.

        Raises:
            PromptError: `pipeline_class` is not a subclass of the task's.
        """
        own = self.pipeline_class
        if own is None:
            return kind
        if not (isinstance(own, type) and issubclass(own, kind)):
            raise PromptError(
                f"pipeline_class is {own!r:.80}. Give a subclass of {kind.__name__}, or leave it "
                "out."
            )
        return own

    def for_model(self, model: object) -> dict[str, Any]:
        """Return the arguments for loading a model, or for moving a loaded one.

        Raises:
            PromptError: An argument applies only to a model that is not loaded yet.
        """
        moved = {"device": self._single_device(), "dtype": self.chosen_dtype()}
        settled = ("dtype", "torch_dtype", "device_map")
        more = {k: v for k, v in (self.model_kwargs or {}).items() if k not in settled}
        own = {"config": self.config, "revision": self.revision}
        if not isinstance(model, str | os.PathLike):
            if (device_map := self._several_devices()) is not None:
                own["device_map"] = device_map
            given = [*more, *(name for name, value in own.items() if value is not None)]
            if given:
                raise PromptError(
                    f"{given[0]} applies to loading, but the model is loaded already. Leave it "
                    "out, or give the model's name or path."
                )
            return moved
        own |= {"device_map": self._several_devices(), **self._hub_options()}
        return moved | more | {name: value for name, value in own.items() if value is not None}

    def image_processor_for(self, model: object) -> Processor:
        """Choose the image processor: the given one, or the one saved beside the model.

        Raises:
            PromptError: There are two different ones, or one for videos.
            CheckpointError: The given source has none.
        """
        if self.video_processor is not None:
            raise PromptError("an image pipeline has no video_processor. Give an image_processor.")
        options = self._hub_options() | {
            name: value
            for name, value in (self.model_kwargs or {}).items()
            if name in (*HUB_OPTIONS, "revision", "token")
        }
        given = self._given_processor()
        if given is None:
            return load_image_processor(model, **options)
        if isinstance(given, str | os.PathLike):
            return load_image_processor(given, is_required=True, **options)
        return given

    def check_for_video(self, model: object) -> None:
        """Refuse arguments that a video pipeline does not support.

        Args:
            model: The model, or its source.

        Raises:
            PromptError: There is an image processor, or a video processor whose normalization is
                not the model's.
            ProcessorError: The settings of the model's processor cannot be used.
        """
        for name in ("image_processor", "feature_extractor"):
            if getattr(self, name) is not None:
                raise PromptError(f"a video pipeline has no {name}. Leave it out.")
        for name in ("processor", "video_processor"):
            given = getattr(self, name)
            if given is None:
                continue
            if isinstance(given, str | os.PathLike):
                options = loading_options(given, self._hub_options()) | self._hub_options()
                given = Sam2VideoVideoProcessor.from_pretrained(where_or_id(given), **options)
            inner = getattr(given, "video_processor", given)
            rules = [_numbers(getattr(inner, each, None)) for each in ("image_mean", "image_std")]
            wanted = self._pixels_of(model)
            own = [_numbers(wanted.mean), _numbers(wanted.std)]
            if rules != own:
                raise PromptError(
                    f"{name} normalizes by mean {rules[0]} and deviation {rules[1]}, the model's "
                    f"checkpoint by {own[0]} and {own[1]}. Leave it out, or use "
                    "processor.init_video_session."
                )

    def _pixels_of(self, model: Any) -> PixelRules:  # noqa: ANN401 - a model, or its source
        if not isinstance(model, str | os.PathLike):
            return checkpoint_pixels(model)
        name = where_or_id(model)
        is_here = Path(name).exists() or bundled_folder(name) is not None
        return saved_pixels(name, None if is_here else self.revision or "main")

    def _given_processor(self) -> Processor:
        """Return the image processor, given under one of three names."""
        given = {
            name: getattr(self, name)
            for name in ("image_processor", "feature_extractor", "processor")
            if getattr(self, name) is not None
        }
        for name, processor in given.items():
            if not isinstance(processor, str | os.PathLike) and not callable(processor):
                raise PromptError(
                    f"{name} is {processor!r:.80}. Give an image processor, or its name or path."
                )
        inner = [getattr(processor, "image_processor", processor) for processor in given.values()]
        if any(processor is not inner[0] and processor != inner[0] for processor in inner[1:]):
            raise PromptError(
                f"{' and '.join(given)} are different image processors. Give one of them."
            )
        return next(iter(given.values()), None)

    def _hub_options(self) -> dict[str, Any]:
        own = {
            "revision": self.revision,
            "token": self.token,
            "local_files_only": self.local_files_only or None,
        }
        return {name: value for name, value in own.items() if value is not None}

    def _device_map(self) -> Any:  # noqa: ANN401 - a name, a device, a dictionary of them, or None
        more = self.model_kwargs or {}
        return self.device_map if self.device_map is not None else more.get("device_map")

    def _several_devices(self) -> dict[str, Any] | None:
        """Return the device map, if it has several devices."""
        given = self._device_map()
        return given if isinstance(given, dict) and len(set(given.values())) > 1 else None

    def _single_device(self) -> torch.device | None:
        """Return the device that holds the whole model, if one was named."""
        if self.device is not None:
            return read_device(self.device)
        given = self._device_map()
        if given is None or self._several_devices() is not None:
            return None
        if isinstance(given, str) and given in DEVICE_MAPS:
            return default_device()
        return read_device(next(iter(given.values())) if isinstance(given, dict) else given)

    def _check_placement(self) -> None:
        given = self._device_map()
        if self.device is not None and given is not None:
            raise PromptError(
                f"device is {self.device!r} and device_map is {given!r:.80}. Give one of them."
            )
        if isinstance(given, dict) and not given:
            raise PromptError("device_map is empty. Give {'': 'cpu'}, or leave it out.")
        self._single_device()

    def _check_types(self) -> None:
        kinds: dict[str, tuple[type, ...]] = {
            "config": (str, os.PathLike, PreTrainedConfig),
            "revision": (str,),
            "code_revision": (str,),
            "token": (str, bool),
            "use_fast": (bool,),
            "trust_remote_code": (bool,),
            "local_files_only": (bool,),
            "model_kwargs": (Mapping,),
            "device_map": (str, int, torch.device, dict),
        }
        for name, kind in kinds.items():
            value = getattr(self, name)
            if value is not None and not isinstance(value, kind):
                wanted = " or ".join(expected.__name__ for expected in kind)
                raise PromptError(f"{name} is {value!r:.80}; it must be a {wanted}.")


def _numbers(values: Any) -> list[float]:  # noqa: ANN401 - one number, three, or None
    numbers = [values] * CHANNELS if isinstance(values, int | float) else values or ()
    return [float(number) for number in numbers]
