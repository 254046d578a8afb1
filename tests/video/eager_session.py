"""A second session, written for comparison: it decodes every prompt at once, as the original does.

Plain dictionaries for each object, no laziness, no devices, no files, one object after the other.
It follows sam2/sam2_video_predictor.py @ 2b90b9f, and calls the steps of our model. The original
has neither undo nor prompts that come inside a run.

Suffixes: b = objects, p = pointers, h, w = rows and columns.
"""

import torch
from torch.nn import functional

from sam2_hf.frames.open import open_frames
from sam2_hf.geometry import to_model_pixels
from sam2_hf.masks import TRACKED_HOLE_MARGIN, fill_holes
from sam2_hf.model.memory_tokens import MemoryInputs
from sam2_hf.model.prompt_encoder import Prompts
from sam2_hf.video.session_options import SessionOptions

CORNERS = (2, 3)
STEPS = {"forward": 1, "backward": -1}


class NothingToTrackError(Exception):
    """Nothing can be tracked: an object has no prompt, or there is none."""


class EagerObject:
    """What is known of one object.

    Attributes:
        prompts: Frame -> box, clicks and mask.
        waiting: Frame -> (output, is_cond): decoded, not remembered yet.
        cond: Frame -> output of a conditioning frame.
        tracked: Frame -> output of another frame.
        ways: Frame -> direction in which it was tracked last.
    """

    NAMES = ("prompts", "waiting", "cond")

    def __init__(self):
        self.prompts, self.waiting, self.cond, self.tracked, self.ways = {}, {}, {}, {}, {}

    def seen(self, frame):
        """The newest output on a frame."""
        if frame in self.waiting:
            return self.waiting[frame][0]
        return self.cond.get(frame) or self.tracked.get(frame)

    def conditioning_frames(self):
        """Those that are remembered for good, and those that will be."""
        return {*self.cond, *(frame for frame, (_, is_cond) in self.waiting.items() if is_cond)}

    def snapshot(self, frame):
        """What an undo brings back: prompts, and what lies on the frames they are still open on."""
        frames = {*self.waiting, *(() if frame is None else (frame,))}
        return (
            {name: dict(getattr(self, name)) for name in self.NAMES},
            {number: (self.tracked.get(number), self.ways.get(number)) for number in frames},
        )

    def restore(self, snapshot):
        values, frames = snapshot
        for name in self.NAMES:
            setattr(self, name, dict(values[name]))
        for frame, pair in frames.items():
            for kept, value in zip((self.tracked, self.ways), pair, strict=True):
                kept.pop(frame, None)
                if value is not None:
                    kept[frame] = value


class EagerSession:
    """A session on a clip; verbs as those of `Sam2VideoInferenceSession`."""

    def __init__(self, clip, model, **options):
        self.options = SessionOptions.preset(**options)
        self.model, self.side = model, model.image_size
        self.frames = open_frames(clip, image_size=self.side, compat=self.options.frame_compat)
        self.num_frames = self.frames.num_frames
        self.objects, self.undos = {}, []

    def click(self, frame, object_id, xy, *, positive=True):
        box, clicks, _ = self._said(frame, object_id)
        self._prompt(frame, object_id, (box, (*clicks, (xy, int(positive))), None))

    def box(self, frame, object_id, xyxy):
        _, clicks, _ = self._said(frame, object_id)
        self._prompt(frame, object_id, (xyxy, clicks, None))

    def mask(self, frame, object_id, mask_hw):
        self._prompt(frame, object_id, (None, (), mask_hw))

    def clear(self, frame, object_id):
        one = self.objects[object_id]
        if frame not in one.prompts:
            return
        self._note(object_id, frame)
        one.prompts.pop(frame)
        one.waiting.pop(frame, None)
        output = one.cond.pop(frame, None)
        if output is not None:
            one.tracked[frame] = output
            one.ways.pop(frame, None)

    def remove(self, object_id):
        self._note(object_id, None)
        del self.objects[object_id]

    def undo(self):
        if not self.undos:
            return False
        object_id, one, place, snapshot = self.undos.pop()
        one.restore(snapshot)
        if place is None:
            self.objects.pop(object_id, None)
        elif object_id not in self.objects:
            objects = list(self.objects.items())
            objects.insert(place, (object_id, one))
            self.objects = dict(objects)
        return True

    def reset(self):
        self.objects, self.undos = {}, []

    def preview(self, frame):
        """Object -> output."""
        outputs = {number: one.seen(frame) for number, one in self.objects.items()}
        return {number: output for number, output in outputs.items() if output is not None}

    def propagate(self, start=None, limit=None, direction="forward"):
        """Frame, then object -> output; one after the other."""
        asked = [one.conditioning_frames() for one in self.objects.values()]
        if not asked or not all(asked):
            raise NothingToTrackError
        asked = set().union(*asked)
        if start is None:
            start = (max if direction == "backward" else min)(asked)
        runs = self._runs(start, limit, direction)
        visits = [(frame, way) for frames, way in runs for frame in frames]
        trace = direction != "backward" or start > 0
        return self._visit_all(visits, trace)

    def _runs(self, start, limit, direction):
        ahead, behind = range(start, self.num_frames), range(start, -1, -1)
        if direction == "forward":
            return [(ahead[:limit], "forward")]
        if direction == "both":
            return [(ahead[:limit], "forward"), (behind[1:][:limit], "backward")]
        if start == 0 and self.options.skip_backward_from_first:
            return []
        return [(behind[:limit], "backward")]

    def _visit_all(self, visits, trace):
        self._preflight(())
        corrected = set()  # corrections that came inside the run are not overwritten by it
        for place, (frame, way) in enumerate(visits):
            # what has come since the first frame counts when its frame comes, or at once
            to_come = {later for later, _ in visits[place + 1 :]} if place else ()
            corrected |= self._preflight(to_come)
            yield frame, self._visit(frame, way, trace, corrected)

    def _visit(self, frame, way, trace, corrected):
        found = {}
        for number, one in self.objects.items():
            if frame in one.cond:
                found[number] = one.cond[frame]
            elif (frame, number) in corrected and frame in one.tracked:
                found[number] = one.tracked[frame]
            elif one.cond:
                memory = self._recollect(one, frame, way)
                found[number] = self._remembered(frame, self._decode(frame, memory), points=False)
                if trace:
                    one.tracked[frame] = found[number]
            else:
                continue
            if trace:
                one.ways[frame] = way
        return found

    def _prompt(self, frame, object_id, prompts):
        one = self.objects.get(object_id)
        if one is None:
            self.undos = [undo for undo in self.undos if undo[0] != object_id]
            one = EagerObject()
            self.undos.append((object_id, one, None, one.snapshot(frame)))
            self.objects[object_id] = one
        else:
            self._note(object_id, frame)
        one.prompts[frame] = prompts
        way = one.ways.get(frame) if one.cond else None
        output = self._answer(one, frame, prompts, way)
        is_cond = way is None or self.options.add_all_frames_to_correct_as_cond
        one.waiting[frame] = (output, is_cond)

    def _answer(self, one, frame, prompts, way):
        box, clicks, mask_hw = prompts
        if mask_hw is not None:
            mask = torch.as_tensor(mask_hw)[None, None].float()
            size = (self.side, self.side)
            mask = functional.interpolate(mask, size, mode="bilinear", antialias=True) >= 0.5
            return self._compact(self.model.use_mask_as_output(self._features(frame), mask))
        points = [] if box is None else list(zip((box[:2], box[2:]), CORNERS, strict=True))
        points += clicks
        xy = torch.tensor([point for point, _ in points], dtype=torch.float32)
        before = one.seen(frame) if self.options.prev_sam_mask_logits else None
        asked = Prompts(
            to_model_pixels(xy, self.frames.size, self.side)[None, None],
            torch.tensor([label for _, label in points])[None, None],
            masks_bphw=None if before is None else before["logits"].clamp(-32, 32),
        )
        memory = None if way is None else self._recollect(one, frame, way)
        return self._decode(frame, memory, asked)

    def _decode(self, frame, memory, prompts=None):
        """Masks of an object on a frame, from what it looks back on and from prompts."""
        features, config = self._features(frame), self.model.config
        count = 0 if prompts is None else prompts.labels_bpt.shape[-1]
        many = (
            config.multimask_output_in_sam
            and (memory is None or config.multimask_output_for_tracking)
            and config.multimask_min_pt_num <= count <= config.multimask_max_pt_num
        )
        embedding = self.model.condition_on_memory(features, memory)
        return self._compact(
            self.model.decode_masks(
                features, embedding, prompts or Prompts(), multimask_output=many
            )
        )

    def _compact(self, masks):
        logits = fill_holes(
            masks.logits_b1hw[:, 0], self.options.fill_hole_area, margin=TRACKED_HOLE_MARGIN
        )
        return {
            "logits": logits[:, None],
            "unfilled": masks.logits_b1hw,
            "full": masks.full_logits_b1hw,
            "iou": masks.iou_b1,
            "score": masks.score_b1,
            "pointer": masks.pointer_bd,
        }

    def _remembered(self, frame, output, *, points):
        """The output with its memory; one with a prompt is remembered with its holes filled."""
        logits = output["unfilled"]
        if points:
            side = (self.side, self.side)
            logits = functional.interpolate(output["logits"], side, mode="bilinear")
            if self.options.mask_prompts_at_full_resolution and output["full"] is not None:
                logits = output["full"]
        binarize = points and self.options.binarize_mask_from_pts_for_mem_enc
        memory = self.model.encode_memory(
            self._features(frame), logits, output["score"], binarize=binarize
        )
        return {**output, "memory": memory.to(self.options.memory_dtype)}

    def _preflight(self, to_come):
        """Remember what is decoded: for good, or as if it had been tracked; return the latter."""
        corrected = set()
        for number, one in self.objects.items():
            for frame in sorted(set(one.waiting) - set(to_come)):
                output, is_cond = one.waiting.pop(frame)
                output = self._remembered(frame, output, points=True)
                (one.cond if is_cond else one.tracked)[frame] = output
                if not is_cond:
                    corrected.add((frame, number))
            for frame in one.cond:  # the original's edge case
                one.tracked.pop(frame, None)
        return corrected

    def _recollect(self, one, frame, way):
        """Memories and pointers that a frame may look at."""
        step, count = STEPS[way], self.model.config.num_maskmem
        memories = [(count, output["memory"]) for output in one.cond.values()]
        for ago in range(count - 1, 0, -1):
            past = one.tracked.get(frame - ago * step)
            if past is not None:
                memories.append((ago, past["memory"]))
        pointers = [
            ((frame - number) * step, output["pointer"])
            for number, output in one.cond.items()
            if (frame - number) * step >= 0
        ]
        longest = self.model.config.max_object_pointers_in_encoder
        if self.options.pointer_times == "clip":
            longest = min(longest, self.num_frames)
        for ago in range(1, self.model.config.max_object_pointers_in_encoder):
            past = one.tracked.get(frame - ago * step)
            if past is not None:
                pointers.append((ago, past["pointer"]))
        return MemoryInputs(
            tuple(memory for _, memory in memories),
            tuple(age for age, _ in memories),
            torch.stack([pointer for _, pointer in pointers], 1) if pointers else None,
            torch.tensor([[ago / (longest - 1) for ago, _ in pointers]]) if pointers else None,
        )

    def _features(self, frame):
        return self.model.encode_image(self.frames.pixel_values(frame)[None])

    def _said(self, frame, object_id):
        one = self.objects.get(object_id)
        return (None, (), None) if one is None else one.prompts.get(frame, (None, (), None))

    def _note(self, object_id, frame):
        one = self.objects[object_id]
        place = list(self.objects).index(object_id)
        self.undos.append((object_id, one, place, one.snapshot(frame)))
