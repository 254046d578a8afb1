"""The model that all visitors share, and how it may be used: in turns, on a lent GPU if any."""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sam2_hf.model.bundled_models import SMALL_MODEL
from sam2_hf.model.modeling_sam2_video import Sam2VideoModel
from sam2_hf.pipelines.encoded_image import EncodedImage
from sam2_hf.pipelines.generated_masks import GeneratedMasks
from sam2_hf.pipelines.image_prompts import SegmentationResult
from sam2_hf.pipelines.image_segmentation import ImageSegmentationPipeline
from sam2_hf.pipelines.loading import load_image_processor, load_model, load_video_model
from sam2_hf.pipelines.mask_generation import MaskGenerationPipeline, Progress
from sam2_hf.processing.prompts import ObjectPrompt

try:
    from spaces import GPU  # type: ignore[attr-defined]  # on ZeroGPU hardware of the Hub
except ImportError:  # anywhere else; a checkout has a folder of this name, without that in it
    GPU = None

LEARNED_NO_BOXES = (SMALL_MODEL,)  # they give next to nothing for a box
Verb = TypeVar("Verb", bound=Callable[..., Any])
Picture = NDArray[np.uint8]


class FairLock:
    """A fair lock.

    A long job takes a turn for each frame or batch. Whoever came meanwhile is served in between, so
    no visitor waits for longer than one slice of each of those before.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._is_taken = False

    @contextlib.contextmanager
    def taken(self) -> Iterator[None]:
        """Wait for a turn, hold it inside the `with`."""
        self._take()
        try:
            yield
        finally:
            self._give_up()

    def pass_on(self) -> None:
        """Inside a turn: let everybody who is waiting go first."""
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
                self._waiting.popleft().set()  # it stays taken, by the next one
            else:
                self._is_taken = False


@dataclass(frozen=True, slots=True)
class EverythingDefaults:
    """Where the sliders of everything-mode stand at first.

    Attributes:
        points_per_side: Clicks along each side.
        pred_iou_thresh: Least predicted IoU.
        stability_score_thresh: Least stability.
    """

    points_per_side: int = 32
    pred_iou_thresh: float = 0.8
    stability_score_thresh: float = 0.95

    @classmethod
    def of_model(cls, name: str, *, has_gpu: bool) -> "EverythingDefaults":
        """Choose them for a model: the bundled one is sure of little."""
        points = 32 if has_gpu else 16
        return cls(points, 0.45, 0.1) if name == SMALL_MODEL else cls(points)


@dataclass(frozen=True, slots=True, eq=False)
class PhotoModel:
    """What the model does with photos; each verb takes values and returns values, on the CPU.

    Attributes:
        encode: Photo `(height, width, 3)` -> encoding; the costly part, once per photo.
        answer: Encoding, prompt, and whether three masks are wanted -> masks.
        find_all: Photo, options, and what to call after each batch of clicks -> everything in it.
    """

    encode: Callable[[Picture], EncodedImage]
    answer: Callable[[EncodedImage, ObjectPrompt, bool], SegmentationResult]
    find_all: Callable[[Picture, dict[str, Any], Progress | None], GeneratedMasks]

    @classmethod
    def of_pipelines(
        cls, segment: ImageSegmentationPipeline, generate: MaskGenerationPipeline
    ) -> "PhotoModel":
        """Make the verbs out of the pipelines."""

        def encode(picture_hw3: Picture) -> EncodedImage:
            return segment.encode(picture_hw3).to("cpu")

        def answer(
            encoded: EncodedImage,
            prompt: ObjectPrompt,
            several: bool,  # noqa: FBT001 - arguments travel to another process by place
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
    """The model in all its uses.

    Attributes:
        name: What it is called, without folders it may lie in.
        photos: Clicks on photos, and everything in them.
        video: For videos and live streams.
        everything: Where everything-mode's sliders stand at first.
        knows_boxes: Whether it has learned what a box is; if not, a box counts as a click in its
            middle.
        turns: Who may use it.
    """

    name: str
    photos: PhotoModel
    video: Sam2VideoModel
    everything: EverythingDefaults
    knows_boxes: bool = True
    turns: FairLock = field(default_factory=FairLock)

    @classmethod
    def load(cls, source: str, device: str | None = None) -> "SpaceModel":
        """Load a model.

        Args:
            source: Hub id, folder, path to a `.pt`, or the bundled model's name.
            device: Where it goes; a GPU if there is one, if None.

        Raises:
            CheckpointError: There is no such model, or its weights cannot be used.
            PromptError: There is no such device.
        """
        model, processor = load_model(source, device=device), load_image_processor(source)
        pipelines = (
            ImageSegmentationPipeline(model, processor),
            MaskGenerationPipeline(model, processor),
        )
        return cls(
            shown_name(source),
            PhotoModel.of_pipelines(*pipelines),
            # On ZeroGPU a session of a video stays in this process, which has no GPU.
            load_video_model(source, device="cpu" if GPU is not None else device),
            EverythingDefaults.of_model(source, has_gpu=model.device.type != "cpu"),
            source not in LEARNED_NO_BOXES,
        )

    @property
    def reports_progress(self) -> bool:
        """Whether everything-mode can tell how far it is; not out of another process."""
        return GPU is None


def shown_name(source: str) -> str:
    """Name a model without the folders it lies in; an id of the Hub stays whole."""
    is_hub_id = source.count("/") == 1 and not source.startswith((".", "/", "~"))
    return source if is_hub_id else source.rstrip("/").rpartition("/")[2]


def on_gpu(verb: Verb) -> Verb:
    """Run a function on a GPU that ZeroGPU lends for the call; as it is anywhere else.

    It runs in another process there, so it must take and return values, and change nothing.
    """
    return verb if GPU is None else GPU(verb)
