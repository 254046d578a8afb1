"""SAM 2 with numpy, Pillow and ONNX Runtime alone; this file may be copied by itself.

    from numpy_runner import NumpySegmenter, NumpyTracker

    photo = NumpySegmenter("exported").encode(Image.open("cup.jpg"))
    masks, iou = photo.masks(points=[(290, 225)])          # best first, (3, height, width), bool

    tracker = NumpyTracker("exported", frames)             # a list of pictures, or anything indexed
    tracker.click(0, 1, (210, 150))
    for frame, masks in tracker.propagate():
        masks[1]                                           # (height, width), bool

The folder is what `sam2-hf export` wrote. Pictures are PIL images or uint8 arrays `(height, width,
3)`; points are (x, y) and boxes (x0, y0, x1, y1) in pixels of the picture; frames count from 0. A
tracker follows any number of objects, which may come and go at any time. It remembers the frames
with prompts, and of the others the last 16: a correction further back does without their memories.
In names of arrays, h and w stand for rows and columns.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import ArrayLike, NDArray
from PIL import Image

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Picture = Image.Image | NDArray[np.uint8]
Box = Sequence[float]
Inputs = dict[str, NDArray[Any]]
Remembered = list[tuple[int, "Memory"]]  # ages, nearest first

NO_OBJECT = -1024.0  # logits of an object that is out of view
NOT_A_POINT, TOP_LEFT, BOTTOM_RIGHT = -1, 2, 3  # labels besides 1 (on an object), 0 (outside)
MAX_PREVIOUS_LOGIT = 32.0  # an earlier answer is shown to the decoder within these bounds
GIVEN_SCALE, GIVEN_SHIFT = 20.0, -10.0  # logits of a mask that a person gives
AGAIN = "`sam2-hf export MODEL FOLDER` writes it again."
# inputs of graphs of fixed shapes, which take so many and hide the rest by a value
ROOM = {
    **{"points": ("points", 0), "labels": ("points", -10)},
    **{"spatial": ("memories", 0), "ages": ("memories", 1), "memory_bias": ("memories", -1e4)},
    **{"pointers": ("pointers", 0), "times": ("pointers", 0), "pointer_bias": ("pointers", -1e4)},
}


class Graphs:
    """The graphs of an exported folder.

    Args:
        folder: What `sam2-hf export` wrote.
        threads: For each graph; as many as there are cores if 0.

    Raises:
        FileNotFoundError: A graph is missing, here or when it is first needed.
        ValueError: One is damaged, or of another model.
    """

    def __init__(self, folder: str | Path, *, threads: int = 0) -> None:
        self._folder, self._threads = Path(folder), threads
        self._sessions: dict[str, Any] = {}
        encoder = self._session("image_encoder")
        about = encoder.get_modelmeta().custom_metadata_map
        self.weights = about["sam2_hf.weights"]
        self.image_size = int(about["sam2_hf.image_size"])
        self.config: dict[str, Any] = json.loads(about["sam2_hf.config"])
        self.pixels: dict[str, Any] = json.loads(about["sam2_hf.pixels"])
        self.room: dict[str, int] | None = json.loads(about.get("sam2_hf.fixed") or "null")

    def __call__(self, name: str, **inputs: NDArray[Any]) -> list[Floats]:
        """Run a graph, which is opened when it is first needed."""
        if self.room is not None:
            inputs = self._filled(inputs, self.room)
        found: list[Floats] = self._session(name).run(None, inputs)
        return found

    def _filled(self, inputs: Inputs, room: dict[str, int]) -> Inputs:
        """Fill the inputs of a graph of fixed shapes up."""
        if "binarize" in inputs:  # masks are remembered at the input size
            inputs["logits"] = enlarge(inputs["logits"][0], (self.image_size,) * 2)[None]
        if "ages" in inputs:
            counts = {"memory_bias": inputs["ages"].shape, "pointer_bias": inputs["times"].shape}
            inputs |= {key: np.zeros(shape, np.float32) for key, shape in counts.items()}
        for key in ROOM.keys() & inputs.keys():
            kind, value = ROOM[key]
            missing = room[kind] - inputs[key].shape[1]
            if missing < 0:
                raise ValueError(f"the graphs take at most {room[kind]} {kind}; there are more.")
            sides = [(0, 0), (0, missing)] + [(0, 0)] * (inputs[key].ndim - 2)
            inputs[key] = np.pad(inputs[key], sides, constant_values=value)
        return inputs

    def _session(self, name: str) -> Any:  # noqa: ANN401 - an onnxruntime.InferenceSession
        if name not in self._sessions:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = self._threads
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            path = self._folder / f"{name}.onnx"
            if not path.is_file():
                raise FileNotFoundError(f"{path} is missing. Give the complete folder. {AGAIN}")
            try:
                session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
            except Exception as error:  # the kinds are those of a C++ library
                reason = " ".join(str(error).split())[:160].rstrip(". ")
                raise ValueError(f"{path} cannot be opened: {reason}. {AGAIN}") from error
            about = session.get_modelmeta().custom_metadata_map
            if about.get("sam2_hf.graph") != name:
                raise ValueError(f"{path} is not the graph {name} of an export. {AGAIN}")
            if name != "image_encoder" and about["sam2_hf.weights"] != self.weights:
                raise ValueError(f"{path} belongs to a different model. {AGAIN}")
            self._sessions[name] = session
        return self._sessions[name]

    def photo_values(self, picture: Picture) -> Floats:
        """Resize a photo, `(1, 3, S, S)`: bilinear, each channel as floats."""
        pixels_hw3 = np.asarray(_as_image(picture), dtype=np.float32)
        channels = [resize_floats(pixels_hw3[..., c], self.image_size) for c in range(3)]
        return self._normalized(np.stack(channels))

    def frame_values(self, picture: Picture) -> Floats:
        """Resize a frame, `(1, 3, S, S)`: bicubic, as bytes; the original does both so."""
        resized = _as_image(picture).resize((self.image_size, self.image_size))
        return self._normalized(np.asarray(resized, dtype=np.float32).transpose(2, 0, 1))

    def _normalized(self, pixels_3hw: Floats) -> Floats:
        factor, mean, std = (self.pixels[name] for name in ("factor", "mean", "std"))
        if factor is not None:
            pixels_3hw = pixels_3hw / np.float32(1 / factor)
        if mean is not None and std is not None:
            mean_311, std_311 = (np.float32(row).reshape(-1, 1, 1) for row in (mean, std))
            pixels_3hw = (pixels_3hw - mean_311) / std_311
        return np.ascontiguousarray(pixels_3hw[None], dtype=np.float32)

    def points(
        self, size: tuple[int, int], clicks: Sequence[tuple[float, float, int]], box: Box | None
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Lay corners of a box and clicks out as `(1, t, 2)` model pixels and `(1, t)` labels."""
        rows = [] if box is None else [(*box[:2], TOP_LEFT), (*box[2:], BOTTOM_RIGHT)]
        rows = [*rows, *clicks] or [(0.0, 0.0, NOT_A_POINT)]
        xy = np.array([row[:2] for row in rows], dtype=np.float32)
        scale = np.array(size[::-1], dtype=np.float32)
        labels = np.array([[row[2] for row in rows]], dtype=np.int64)
        return (xy / scale * np.float32(self.image_size))[None], labels

    def decode(
        self,
        maps: Sequence[Floats],
        points: tuple[Floats, NDArray[np.int64]],
        mask_b1hw: Floats | None = None,
    ) -> list[Floats]:
        """Decode all candidates: logits, predicted IoU, tokens and object score.

        Args:
            maps: Fine, coarse, and the embedding of each object.
            points: From `points`.
            mask_b1hw: Earlier logits, at a quarter of the input size.
        """
        objects, low = len(points[1]), self.image_size // 4
        has_mask = np.full(objects, mask_b1hw is not None)
        if mask_b1hw is None:
            mask_b1hw = np.zeros((objects, 1, low, low), dtype=np.float32)
        names = ("fine", "coarse", "conditioned", "points", "labels", "mask", "has_mask")
        given: tuple[NDArray[Any], ...] = (*maps, *points, mask_b1hw, has_mask)
        return self("mask_decoder", **dict(zip(names, given, strict=True)))

    def single_choice(self, logits_bmhw: Floats, iou_bm: Floats) -> NDArray[np.int64]:
        """Choose the single mask of each object, or the best of three where it is unstable."""
        config = self.config["mask_decoder_config"]
        chosen_b = np.zeros(len(iou_bm), dtype=np.int64)
        if not config["dynamic_multimask_via_stability"]:
            return chosen_b
        delta = config["dynamic_multimask_stability_delta"]
        inner_b = (logits_bmhw[:, 0] > delta).sum(axis=(1, 2))
        outer_b = (logits_bmhw[:, 0] > -delta).sum(axis=(1, 2))
        stability_b = np.where(outer_b > 0, inner_b / np.maximum(outer_b, 1), 1.0)
        is_stable_b = stability_b >= config["dynamic_multimask_stability_thresh"]
        return np.where(is_stable_b, chosen_b, 1 + iou_bm[:, 1:].argmax(axis=1))


def enlarge(logits_mhw: Floats, size: tuple[int, int]) -> Floats:
    """Resize maps bilinearly, without antialiasing, to `(m, height, width)`."""
    for axis, pixels in ((1, size[0]), (2, size[1])):
        count = logits_mhw.shape[axis]
        place = (np.arange(pixels, dtype=np.float32) + 0.5) * np.float32(count / pixels) - 0.5
        place = place.clip(0, None)
        first = np.minimum(place.astype(np.int64), count - 1)
        share = (place - first).astype(np.float32).reshape((-1, 1) if axis == 1 else (1, -1))
        near = logits_mhw.take(first, axis=axis)
        far = logits_mhw.take(np.minimum(first + 1, count - 1), axis=axis)
        logits_mhw = near * (1 - share) + far * share
    return logits_mhw


def resize_floats(values_hw: Floats, side: int) -> Floats:
    """Resize a map to a square, bilinear and antialiased."""
    resized = Image.fromarray(values_hw).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float32)


def _as_image(picture: Picture) -> Image.Image:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    return image.convert("RGB")


def size_of(picture: Picture) -> tuple[int, int]:
    """Return `(height, width)` of a picture."""
    return _as_image(picture).size[::-1]


class Photo:
    """An encoded photo, to be prompted as often as wanted."""

    def __init__(self, graphs: Graphs, picture: Picture) -> None:
        self._graphs, self.size = graphs, size_of(picture)
        found = graphs("image_encoder", pixel_values=graphs.photo_values(picture))
        marked = graphs("no_memory", embedding=found[2])[0]
        self._maps = (found[0], found[1], marked)

    def masks(
        self,
        points: Sequence[tuple[float, float]] = (),
        labels: Sequence[int] | None = None,
        box: Box | None = None,
        *,
        multimask: bool = True,
    ) -> tuple[Mask, Floats]:
        """Segment one object.

        Args:
            points: Clicks.
            labels: 1 for a click on the object, 0 for one outside it; all 1 if left out.
            box: A box around it.
            multimask: Three masks, best for a single click, or one.

        Returns:
            Masks, best first, and the predicted IoU of each.
        """
        signs = [1] * len(points) if labels is None else labels
        clicks = [(x, y, sign) for (x, y), sign in zip(points, signs, strict=True)]
        asked = self._graphs.points(self.size, clicks, box)
        logits, iou, _, _ = self._graphs.decode(self._maps, asked)
        if multimask:
            order = 1 + np.argsort(-iou[0, 1:], kind="stable")
        else:
            order = self._graphs.single_choice(logits, iou)
        return enlarge(logits[0, order], self.size) > 0, iou[0, order]


class NumpySegmenter:
    """Encode photos; see the top of the file. Arguments as of [`Graphs`]."""

    def __init__(self, folder: str | Path, *, threads: int = 0) -> None:
        self._graphs = Graphs(folder, threads=threads)

    def encode(self, picture: Picture) -> Photo:
        """Encode a photo, the slow part."""
        return Photo(self._graphs, picture)


@dataclass
class ObjectAnswer:
    """The mask of an object on a frame: logits `(1, 1, h, w)`, pointer, object score `(1, 1)`."""

    logits: Floats
    pointer: Floats
    score: Floats


@dataclass
class Memory:
    """What is remembered of an object on a frame."""

    spatial: Floats
    pointer: Floats


@dataclass
class ObjectState:
    """Prompts, memories and the last answers of an object."""

    clicks: dict[int, list[tuple[float, float, int]]] = field(default_factory=dict)
    boxes: dict[int, Box] = field(default_factory=dict)
    given: dict[int, Mask] = field(default_factory=dict)
    prompted: dict[int, Memory] = field(default_factory=dict)
    tracked: dict[int, Memory] = field(default_factory=dict)
    answers: dict[int, Floats] = field(default_factory=dict)  # logits, on prompted frames
    shown: dict[int, Floats] = field(default_factory=dict)  # logits, on tracked ones
    steps: dict[int, int] = field(default_factory=dict)  # which way a frame was tracked, 1 or -1


class NumpyTracker:
    """Follow objects through a video; see the top of the file.

    Args:
        folder: What `sam2-hf export` wrote.
        frames: The pictures, by number; all of one size.
        threads: For each graph; as many as there are cores if 0.
    """

    def __init__(self, folder: str | Path, frames: Sequence[Picture], *, threads: int = 0) -> None:
        self._graphs, self._frames = Graphs(folder, threads=threads), frames
        self.size = size_of(frames[0])
        self.objects: dict[int, ObjectState] = {}
        self._encoded: tuple[int, list[Floats]] | None = None

    def click(
        self, frame: int, object_id: int, xy: tuple[float, float], *, positive: bool = True
    ) -> None:
        """Click on an object, or outside it; clicks on a frame add up."""
        state = self._object(frame, object_id)
        state.given.pop(frame, None)
        state.clicks.setdefault(frame, []).append((*xy, int(positive)))
        self._answer(state, frame)

    def box(self, frame: int, object_id: int, xyxy: Box) -> None:
        """Draw a box around an object; it joins the clicks on that frame."""
        state = self._object(frame, object_id)
        state.given.pop(frame, None)
        state.boxes[frame] = xyxy
        self._answer(state, frame)

    def mask(self, frame: int, object_id: int, mask_hw: Mask) -> None:
        """Give the mask of an object; it takes the place of clicks and box on that frame."""
        state = self._object(frame, object_id)
        state.clicks.pop(frame, None)
        state.boxes.pop(frame, None)
        state.given[frame] = mask_hw
        self._answer(state, frame)

    def remove(self, object_id: int) -> None:
        """Forget an object; the others stay as they are."""
        del self.objects[object_id]

    def masks(self, frame: int) -> dict[int, Mask]:
        """Return the masks of a frame that has prompts, or has been tracked lately."""
        found = {n: at.answers.get(frame, at.shown.get(frame)) for n, at in self.objects.items()}
        return {n: self._full(logits) for n, logits in found.items() if logits is not None}

    def propagate(
        self, start: int | None = None, limit: int | None = None, *, backward: bool = False
    ) -> Iterator[tuple[int, dict[int, Mask]]]:
        """Track all objects, frame by frame; a prompt in between counts from the next frame on.

        Args:
            start: First frame; the first prompted one if None, backward the last one.
            limit: How many frames; all if None.
            backward: Whether time runs backwards.
        """
        prompted = [frame for tracked in self.objects.values() for frame in tracked.prompted]
        if not prompted:
            raise ValueError("No object has a prompt: click, or give a box or a mask.")
        if start is None:
            start = max(prompted) if backward else min(prompted)
        step = -1 if backward else 1
        frames = range(start, -1 if backward else len(self._frames), step)
        for frame in frames if limit is None else frames[:limit]:
            for state in self.objects.values():
                if frame not in state.prompted and state.prompted:
                    self._track(state, frame, step)
            yield frame, self.masks(frame)

    def _object(self, frame: int, object_id: int) -> ObjectState:
        if not 0 <= frame < len(self._frames):
            raise ValueError(f"There is no frame {frame}; there are {len(self._frames)}, from 0.")
        return self.objects.setdefault(object_id, ObjectState())

    def _features(self, frame: int) -> list[Floats]:
        """Encode a frame, or take the features of the last one."""
        if self._encoded is None or self._encoded[0] != frame:
            pixels = self._graphs.frame_values(self._frames[frame])
            self._encoded = frame, self._graphs("image_encoder", pixel_values=pixels)
        return self._encoded[1]

    def _answer(self, state: ObjectState, frame: int) -> None:
        """Answer the prompts of a frame, and remember it as a prompted one."""
        features = self._features(frame)
        state.prompted.pop(frame, None)  # what is remembered of a frame is not looked at from there
        if frame in state.given:
            answer = self._given(features, state.given[frame])
        else:
            # a correction looks at memories as tracking did
            step = state.steps.get(frame, 0) if state.prompted else 0
            previous = state.answers.get(frame, state.shown.get(frame))
            if previous is not None:
                previous = previous.clip(-MAX_PREVIOUS_LOGIT, MAX_PREVIOUS_LOGIT)
            clicks, box = state.clicks.get(frame, ()), state.boxes.get(frame)
            points = self._graphs.points(self.size, clicks, box)
            embedding = self._condition(state, features[2], frame, step)
            answer = self._decode(features, embedding, points, previous, tracked=step != 0)
        state.answers[frame] = answer.logits
        state.prompted[frame] = self._remember(features, answer, binarize=True)
        for kept in (state.shown, state.tracked):
            kept.pop(frame, None)

    def _track(self, state: ObjectState, frame: int, step: int) -> None:
        """Track an object on a frame without prompts."""
        features = self._features(frame)
        embedding = self._condition(state, features[2], frame, step)
        points = self._graphs.points(self.size, (), None)
        answer = self._decode(features, embedding, points, None, tracked=True)
        state.tracked[frame] = self._remember(features, answer, binarize=False)
        state.shown[frame], state.steps[frame] = answer.logits, step
        config = self._graphs.config
        reach = max(config["max_object_pointers_in_encoder"], config["num_maskmem"])
        kept: dict[int, Any]
        for kept in (state.tracked, state.shown):
            for other in [other for other in kept if abs(other - frame) > reach]:
                del kept[other]

    def _condition(self, state: ObjectState, embedding: Floats, frame: int, step: int) -> Floats:
        """Fuse memories into a frame; `step` 0 means that nothing is looked at."""
        if step == 0:
            return self._graphs("no_memory", embedding=embedding)[0]
        config, chosen = self._graphs.config, self._chosen(state, frame)
        count, reach = config["num_maskmem"], config["max_object_pointers_in_encoder"]
        near = self._near(state, frame, step, count)[::-1]
        spatial = [state.prompted[f].spatial for f in chosen] + [m.spatial for _, m in near]
        ages = [count] * len(chosen) + [age for age, _ in near]
        past = [f for f in chosen if (frame - f) * step >= 0]
        near = self._near(state, frame, step, reach)
        pointers = [state.prompted[f].pointer for f in past] + [m.pointer for _, m in near]
        pointers.append(np.zeros((0, embedding.shape[1]), np.float32))  # there may be none
        times = [(frame - f) * step for f in past] + [age for age, _ in near]
        asked: Inputs = {"embedding": embedding, "spatial": np.concatenate(spatial)[None]}
        asked |= {"pointers": np.concatenate(pointers)[None], "ages": np.array([ages], np.int64)}
        asked["times"] = np.array([[time / max(reach - 1, 1) for time in times]], np.float32)
        return self._graphs("memory_attention", **asked)[0]

    def _chosen(self, state: ObjectState, frame: int) -> list[int]:
        """Choose the prompted frames that are looked at: the nearest ones, on both sides."""
        limit, frames = self._graphs.config["max_cond_frame_num"], list(state.prompted)
        if limit == -1 or len(frames) <= limit:
            return frames
        before = max((f for f in frames if f < frame), default=None)
        after = min((f for f in frames if f >= frame), default=None)
        chosen = [f for f in (before, after) if f is not None]
        others = sorted((f for f in frames if f not in chosen), key=lambda f: abs(f - frame))
        return chosen + others[: limit - len(chosen)]

    def _near(self, state: ObjectState, frame: int, step: int, count: int) -> Remembered:
        """List what is remembered of the last frames, nearest first, with ages."""
        chosen, found = self._chosen(state, frame), []
        for age in range(1, count):
            near = frame - step * age
            unchosen = None if near in chosen else state.prompted.get(near)
            memory = state.tracked.get(near, unchosen)
            if memory is not None:
                found.append((age, memory))
        return found

    def _decode(
        self,
        features: list[Floats],
        embedding: Floats,
        points: tuple[Floats, NDArray[np.int64]],
        previous: Floats | None,
        *,
        tracked: bool,
    ) -> ObjectAnswer:
        """Decode an object's mask; `tracked` says that memories were looked at."""
        maps = (features[0], features[1], embedding)
        logits, iou, tokens, score = self._graphs.decode(maps, points, previous)
        config, count = self._graphs.config, int((points[1] != NOT_A_POINT).sum())
        few = config["multimask_min_pt_num"] <= count <= config["multimask_max_pt_num"]
        allowed = config["multimask_output_for_tracking"] or not tracked
        if few and allowed and config["multimask_output_in_sam"]:
            best = token_of = 1 + int(iou[0, 1:].argmax())
        else:
            best, token_of = int(self._graphs.single_choice(logits, iou)[0]), 0
        chosen = logits[:, best : best + 1]
        if score[0, 0] <= 0:
            chosen = np.full_like(chosen, NO_OBJECT)
        pointer = self._graphs("object_pointer", token=tokens[:, token_of], score=score)[0]
        return ObjectAnswer(chosen, pointer, score)

    def _given(self, features: list[Floats], mask_hw: ArrayLike) -> ObjectAnswer:
        """Take a given mask for the answer; the decoder finds the pointer to it."""
        drawn = resize_floats(np.asarray(mask_hw).astype(np.float32), self._graphs.image_size)
        given = (drawn[None, None] >= 0.5).astype(np.float32)
        prompt, logits = self._graphs("mask_prompt", given=given)
        nothing = self._graphs.points(self.size, (), None)
        _, _, tokens, score = self._graphs.decode(features, nothing, prompt)
        own_score = np.full_like(score, given.any() * GIVEN_SCALE + GIVEN_SHIFT)
        both = np.minimum(score, own_score)
        pointer = self._graphs("object_pointer", token=tokens[:, 0], score=both)[0]
        return ObjectAnswer(logits, pointer, own_score)

    def _remember(self, features: list[Floats], answer: ObjectAnswer, *, binarize: bool) -> Memory:
        """Encode what a frame is remembered by."""
        asked = {"embedding": features[2], "logits": answer.logits, "score": answer.score}
        spatial = self._graphs("memory_encoder", **asked, binarize=np.array(binarize))[0]
        return Memory(spatial, answer.pointer)

    def _full(self, logits: Floats) -> Mask:
        """Draw a mask at the frame's size."""
        return enlarge(logits[0], self.size)[0] > 0
