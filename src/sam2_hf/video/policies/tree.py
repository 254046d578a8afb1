"""The policy `tree`: several hypotheses of an object, each with memories of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log
from typing import ClassVar, NamedTuple

from .hypothesis import Hypothesis
from .mask_candidates import MaskCandidates
from .memory_policy import (
    Choice,
    Kept,
    MemoryIndex,
    Path,
    TrackingStep,
    closest_prompted,
)
from .score import ScorePolicy

NAME = "tree"
NUM_PATHS = 3  # hypotheses of an object
MIN_IOU = 0.1  # predicted IoU that a memory must exceed
CERTAIN = 2.0  # object score, either way, above which paths may be alike, logits
LOG_OFFSET = 1e-5  # added to predicted IoU before its logarithm
DIGITS = 2  # of predicted IoU, by which masks count as alike
NUM_TRUSTED = 15  # trusted frames that a path remembers
NONE = -1  # in place of a frame


@dataclass(frozen=True, slots=True)
class PathNotes:
    """One path after a frame.

    Attributes:
        score: Sum of the logarithms of predicted IoU.
        slot: Which mask of the frame belongs to it; paths of the same mask are alike.
        trusted: The last trusted frames, and which masks of those belong to it, oldest first.
    """

    score: float
    slot: int
    trusted: tuple[tuple[int, int], ...] = ()

    def numbers(self) -> list[float]:
        """List `PATH_WIDTH` numbers to store."""
        missing = NUM_TRUSTED - len(self.trusted)
        frames = [number for pair in self.trusted for number in pair]
        return [self.score, self.slot, *frames, *[NONE] * (2 * missing)]

    @classmethod
    def of_numbers(cls, numbers: Sequence[float]) -> "PathNotes":
        """Read the output of `numbers`."""
        score, slot, *rest = numbers
        pairs = zip(rest[::2], rest[1::2], strict=True)
        trusted = tuple((int(frame), int(mask)) for frame, mask in pairs if frame != NONE)
        return cls(score, int(slot), trusted)


PATH_WIDTH = 2 + 2 * NUM_TRUSTED
WIDTH = 1 + NUM_PATHS * PATH_WIDTH


class Branch(NamedTuple):
    """A candidate of a path, with the score that the path would have."""

    path: int
    hypothesis: int
    candidate: int
    score: float
    signed_iou: float  # negative if the object is out of view


class TreePolicy(ScorePolicy):
    """SAM2Long: a tree of hypotheses, of which the three best are kept on every frame.

    Each of three paths decodes three candidate masks. A path's score is the sum of the logarithms
    of predicted IoU along it. Where one of the object scores is above 2 or below -2, the three
    candidates of the highest path scores are kept; elsewhere, the three highest among those that
    differ in predicted IoU to two digits, filled up by the best candidates of other paths. A path
    attends to the prompted frames, its previous frame, and its nearest frames with a predicted IoU
    above 0.1 and an object score above 0. Paths that are alike are tracked once.

    Source: SAM2Long (arXiv 2410.16268), section 3: 3 paths, thresholds 0.1 and 2.
    Differs: each frame is answered by the best path so far, where the authors answer all frames at
        the end, by the path that is best then. Memories are not weighted by object score (between
        0.95 and 1.05 in the paper). A prompt, a frame that was not tracked before it, and a change
        of direction start again with one path, which finds its trusted frames as `score` does. The
        pointers of all trusted frames are attended to, their times counting frames of the path.
    """

    reviews = True
    branches = True
    notes_width: ClassVar[Mapping[str, int]] = {NAME: WIDTH}
    min_iou = MIN_IOU

    def paths(self, step: TrackingStep, memories: MemoryIndex) -> list[Path]:
        """List the distinct paths that end on the previous frame."""
        distinct = {path.slot: path for path in reversed(_before(step, memories))}
        return [
            {step.previous: slot, **dict(reversed(distinct[slot].trusted))}
            for slot in sorted(distinct)
        ]

    def select(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, then the nearest frames of the path, farthest first."""
        if not isinstance(memories, Hypothesis):
            return super().select(step, memories)
        rules = self.rules
        prompted, _ = closest_prompted(step.frame, memories.prompted, rules.max_prompted)
        recent = list(memories.path)[: max(rules.num_memories - 1, 0)]
        aged = [(frame, age) for age, frame in enumerate(recent, 1)]
        return [(frame, rules.num_memories) for frame in prompted] + aged[::-1]

    def select_pointers(self, step: TrackingStep, memories: MemoryIndex) -> Choice:
        """Select prompted frames, then frames of the path, nearest first."""
        if not isinstance(memories, Hypothesis):
            return super().select_pointers(step, memories)
        prompted, _ = closest_prompted(step.frame, memories.prompted, self.rules.max_prompted)
        past = [(frame, age) for frame in prompted if (age := step.back_to(frame)) >= 0]
        recent = list(memories.path)[: max(self.rules.num_pointers - 1, 0)]
        return past + [(frame, age) for age, frame in enumerate(recent, 1)]

    def keep(
        self, step: TrackingStep, memories: MemoryIndex, found: Sequence[MaskCandidates]
    ) -> Kept:
        """Keep the best branches, and note the paths that they make."""
        before = _before(step, memories)
        if before:
            order = {slot: index for index, slot in enumerate(sorted({p.slot for p in before}))}
            branches = list(_branches(before, [order[path.slot] for path in before], found))
            kept = _best_branches(branches, found)
        else:  # the first frame is not branched
            before, best = [PathNotes(0.0, 0, self._trusted(step, memories))], found[0].best
            kept = [Branch(0, 0, best, 0.0, 0.0)] * NUM_PATHS
        masks = list(dict.fromkeys((branch.hypothesis, branch.candidate) for branch in kept))
        paths = [
            self._continued(before[branch.path], branch, masks, step.frame, found)
            for branch in kept
        ]
        notes = [number for path in paths for number in path.numbers()]
        return Kept(masks, {NAME: [step.sign, *notes]})

    def _trusted(self, step: TrackingStep, memories: MemoryIndex) -> tuple[tuple[int, int], ...]:
        """List the trusted frames that a single path begins with, oldest first."""
        frames = [
            frame
            for frame, _ in super().select(step, memories)
            if frame not in memories.prompted and self.is_trusted(frame, memories)
        ]
        return tuple((frame, 0) for frame in frames)

    def _continued(
        self,
        path: PathNotes,
        branch: Branch,
        masks: list[tuple[int, int]],
        frame: int,
        found: Sequence[MaskCandidates],
    ) -> PathNotes:
        """Continue a path by a branch."""
        slot = masks.index((branch.hypothesis, branch.candidate))
        own = found[branch.hypothesis]
        trusted = path.trusted
        if own.score > 0 and own.iou[branch.candidate] > self.min_iou:
            trusted = (*trusted, (frame, slot))[-NUM_TRUSTED:]
        return PathNotes(branch.score, slot, trusted)


def _branches(
    before: Sequence[PathNotes], hypotheses: Sequence[int], found: Sequence[MaskCandidates]
) -> Iterator[Branch]:
    """List all candidates of all paths."""
    for path, hypothesis in enumerate(hypotheses):
        own = found[hypothesis]
        for candidate, iou in enumerate(own.iou):
            score = before[path].score + log(iou + LOG_OFFSET)
            signed_iou = iou if own.score > 0 else -iou
            yield Branch(path, hypothesis, candidate, score, signed_iou)


def _best_branches(branches: Sequence[Branch], found: Sequence[MaskCandidates]) -> list[Branch]:
    """Choose the branches that continue, the best first."""
    ranked = sorted(branches, key=lambda branch: branch.score, reverse=True)
    if max(abs(own.score) for own in found) > CERTAIN:
        return ranked[:NUM_PATHS]
    unlike: dict[float, Branch] = {}
    for branch in ranked:
        unlike.setdefault(round(branch.signed_iou, DIGITS), branch)
    kept = list(unlike.values())[:NUM_PATHS]
    for path in sorted({branch.path for branch in branches} - {branch.path for branch in kept}):
        if len(kept) < NUM_PATHS:
            kept.append(next(branch for branch in ranked if branch.path == path))
    return kept


def _before(step: TrackingStep, memories: MemoryIndex) -> list[PathNotes]:
    """Read the paths that end on the previous frame, if it was tracked in the same direction."""
    numbers = memories.notes(step.previous, NAME)
    if numbers is None or numbers[0] != step.sign:
        return []
    starts = range(1, WIDTH, PATH_WIDTH)
    return [PathNotes.of_numbers(numbers[start : start + PATH_WIDTH]) for start in starts]
