"""Shared model of all visitors, with a fair lock, on a ZeroGPU device if available."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from sam2_hf.model.checkpoints.bundled_models import SMALL_MODEL, bundled_folder
from sam2_hf.model.checkpoints.checkpoint_errors import CheckpointNotFoundError
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.open_vocabulary.detection import Detection, Detector, detect_objects
from sam2_hf.pipelines.encoded_image import EncodedImage
from sam2_hf.pipelines.everything_options import EverythingOptions
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_hf.pipelines.image_segmentation import ImageSegmentationPipeline
from sam2_hf.pipelines.loading import load_image_processor, load_model, load_video_model
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline, Progress
from sam2_hf.pipelines.named_models import load_detector
from sam2_hf.processing.prompts import ObjectPrompt

try:
    from spaces import GPU  # type: ignore[attr-defined]  # on ZeroGPU hardware of the Hub
except ImportError:  # elsewhere; a checkout has a folder of this name, without GPU
    GPU = None

Verb = TypeVar("Verb", bound=Callable[..., Any])
Picture = NDArray[np.uint8]
Found = list[Detection]


class FairLock:
    """A first-in, first-out lock.

    A long job takes the lock for each frame or batch, and others are served in between. So a
    visitor waits for at most one slice of each earlier one.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Acquire the lock for the context."""
        self._take()
        try:
            yield
        finally:
            self._give_up()

    @contextlib.contextmanager
    def taken_if_free(self) -> Iterator[bool]:
        """Acquire the lock for the context if no thread has it; yield whether it is acquired."""
        with self._guard:
            is_mine = not self._is_taken
            self._is_taken = True
        try:
            yield is_mine
        finally:
            if is_mine:
                self._give_up()

    def pass_on(self) -> None:
        """While holding the lock, let all waiting threads go first."""
        self._give_up()
        self._take()

    def _take(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            mine = threading.Event()
            self._waiting.append(mine)
        mine.wait()

    def _give_up(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()  # handed over to the next thread
            else:
                self._is_taken = False


@dataclass(frozen=True, slots=True)
class EverythingDefaults:
    """Initial values of everything-mode's sliders.

    Attributes:
        points_per_side: Points per side.
        pred_iou_thresh: Minimum predicted IoU.
        stability_score_thresh: Minimum stability.
    """

    points_per_side: int = 32
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95

    @classmethod
    def of_model(cls, options: EverythingOptions, *, has_gpu: bool) -> "EverythingDefaults":
        """Take the model's own thresholds; a CPU gets fewer points."""
        points = 32 if has_gpu else 16
        return cls(points, options.pred_iou_thresh, options.stability_score_thresh)


@dataclass(frozen=True, slots=True, eq=False)
class PhotoModel:
    """Functions of the model on photos, with inputs and outputs on the CPU.

    Attributes:
        encode: Photo `(height, width, 3)` -> encoding; the expensive part, once per photo.
        answer: Encoding, prompt, and whether to return three masks -> masks.
        find_all: Photo, options, and a callback after each batch of clicks -> everything in it.
    """

    encode: Callable[[Picture], EncodedImage]
    answer: Callable[[EncodedImage, ObjectPrompt, bool], SegmentationResult]
    find_all: Callable[[Picture, dict[str, Any], Progress | None], GeneratedMasks]

    @classmethod
    def of_pipelines(
        cls, segment: ImageSegmentationPipeline, generate: MaskGenerationPipeline
    ) -> "PhotoModel":
        """Make the functions from pipelines."""

        def encode(picture_hw3: Picture) -> EncodedImage:
            return segment.encode(picture_hw3).to("cpu")

        def answer(
            encoded: EncodedImage,
            prompt: ObjectPrompt,
            several: bool,  # noqa: FBT001 - positional, since calls cross processes
        ) -> SegmentationResult:
            result: SegmentationResult = segment(encoded, prompt, multimask=several)
            return result

        def find_all(
            picture_hw3: Picture, options: dict[str, Any], on_progress: Progress | None
        ) -> GeneratedMasks:
            return generate(picture_hw3, on_progress=on_progress, **options)

        return cls(on_gpu(encode), on_gpu(answer), on_gpu(find_all))


@dataclass(frozen=True, slots=True, eq=False)
class SpaceModel:
    """The model for photos, videos and streams.

    Attributes:
        name: Its name, without folders.
        photos: Clicks and everything-mode on photos.
        video: For videos and live streams.
        everything: Initial values of everything-mode's sliders.
        knows_boxes: Whether it supports boxes; if not, a box becomes a click at its center.
        lock: Lock of the model.
        detector: Finds objects by name; None if the page does not offer that.
    """

    name: str
    photos: PhotoModel
    video: Sam2VideoModel
    everything: EverythingDefaults
    knows_boxes: bool = True
    lock: FairLock = field(default_factory=FairLock)
    detector: Detector | None = None

    @classmethod
    def load(
        cls,
        source: str,
        device: str | None = None,
        detector: str | None = None,
        dtype: str | None = None,
    ) -> "SpaceModel":
        """Load a model.

        Args:
            source: Hub id, folder, path to a `.pt`, or the bundled model's name.
            device: Its device; by default a GPU if available.
            detector: Hub id or folder of a zero-shot detector, if wanted.
            dtype: Data type of the weights for videos; float32 by default.

        Raises:
            CheckpointError: There is no such model, or its weights cannot be used.
            PromptError: There is no such device.
        """
        model, processor = load_model(source, device=device), load_image_processor(source)
        pipelines = (
            ImageSegmentationPipeline(model, processor),
            MaskGenerationPipeline(model, processor),
        )
        # On ZeroGPU video sessions and the detector stay in this process, which has no GPU.
        here = "cpu" if GPU is not None else device
        video = load_video_model(source, device=here, dtype=dtype)
        own, has_gpu = pipelines[1].options, model.device.type != "cpu"
        return cls(
            shown_name(source),
            PhotoModel.of_pipelines(*pipelines),
            video,
            EverythingDefaults.of_model(own, has_gpu=has_gpu),
            knows_boxes=not is_bundled(video),  # its masks of boxes are unusable
            detector=None if detector is None else load_detector(detector, device=here),
        )

    def find(self, picture_hw3: Picture, labels: Sequence[str]) -> Found:
        """Find objects by name, best first.

        Args:
            picture_hw3: `(height, width, 3)`, RGB.
            labels: Distinct names.

        Raises:
            DetectionError: The detector failed, or its answer cannot be used.
        """
        if self.detector is None:
            return []
        with self.lock.taken():
            return detect_objects(self.detector, picture_hw3, labels)

    @property
    def reports_progress(self) -> bool:
        """Whether everything-mode reports progress; not from another process."""
        return GPU is None


def is_bundled(model: Sam2VideoModel) -> bool:
    """Whether a model has the weights of the bundled one, wherever they were loaded from."""
    try:
        folder = bundled_folder(SMALL_MODEL)
    except CheckpointNotFoundError:
        return False
    if folder is None:  # hidden by a folder of its name
        return False
    loaded = model.state_dict()
    return all(
        name in loaded
        and loaded[name].shape == saved.shape
        and torch.equal(loaded[name].cpu(), saved.to(loaded[name].dtype))
        for name, saved in load_file(folder / "model.safetensors").items()
    )


def shown_name(source: str) -> str:
    """Return the name of a model without folders; a Hub id is kept."""
    is_hub_id = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    return source if is_hub_id else source.rstrip("/").rpartition("/")[2]


def on_gpu(verb: Verb) -> Verb:
    """Run a function on a ZeroGPU device for the call; unchanged elsewhere.

    There it runs in another process, so it must not have side effects.
    """
    return verb if GPU is None else GPU(verb)
