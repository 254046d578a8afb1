"""Settings of a set, fixed when it is begun: model, phase, source of masklets, thresholds."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sam2_hf.errors import DataError, SessionError

from .phases import DEFAULT_PHASE, PHASES, Phase

VERSION = 1  # of the files of a set
AUTOMATIC, PROMPTS, TEXT = "automatic", "prompts", "text"
SCORE_NAMES = {
    "predicted_iou": "predicted IoU",
    "object_score": "object score",
    "stability": "stability",
    "agreement": "agreement",
}


@dataclass(frozen=True, slots=True)
class AcceptRules:
    """Thresholds that a masklet must reach to be accepted without a person.

    Each is from 0 to 1; 0 switches it off. A score that a masklet does not have is not compared.

    Attributes:
        predicted_iou: Mean predicted IoU where the object is in view.
        object_score: Mean probability that it is in view where it is shown.
        stability: Mean IoU of masks on neighboring frames, moved onto each other.
        agreement: IoU on its first frame with what is tracked back from its last one.
    """

    predicted_iou: float = 0.75
    object_score: float = 0.75
    stability: float = 0.7
    agreement: float = 0.75

    def reasons(self, scores: Mapping[str, float | None]) -> list[str]:
        """Say why a masklet is not accepted; nothing if it is."""
        found = []
        for rule in fields(self):
            score, least = scores.get(rule.name), getattr(self, rule.name)
            if score is not None and score < least:
                found.append(f"{SCORE_NAMES[rule.name]} {score:.2f} is below {least:g}")
        return found


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """What decides the content of a set.

    Attributes:
        model: Hub id, folder or path of the model.
        dtype: Data type of its weights.
        phase: Name of one of `PHASES`.
        source: "automatic", "prompts" from a file, or "text", names of what a detector finds.
        options: Options of the source.
        rules: When a masklet is accepted.
        max_objects: Largest number of automatic masklets of a video.
        split_frames: Longest part of a video that is tracked at once; 0 never splits one.
        threads: Threads of a worker on a CPU. Sums are taken in another order with another number,
            so it is not chosen by the machine.
    """

    model: str
    dtype: str | None = None
    phase: str = DEFAULT_PHASE
    source: str = AUTOMATIC
    options: Mapping[str, Any] = field(default_factory=dict)
    rules: AcceptRules = field(default_factory=AcceptRules)
    max_objects: int = 16
    split_frames: int = 0
    threads: int = 1

    @property
    def chosen_phase(self) -> Phase:
        """The phase."""
        return PHASES[self.phase]

    def as_json(self) -> dict[str, Any]:
        """Describe them for a file."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any], place: str) -> "LabelSettings":
        """Read what `as_json` wrote.

        Args:
            content: The content of the file.
            place: Its path, for messages.

        Raises:
            DataError: It has another form, or is of a later version.
        """
        try:
            values = dict(content)
            version = values.pop("version")
            if version != VERSION:
                raise DataError(f"{place} is of version {version}; this program reads {VERSION}.")
            return cls(**{**values, "rules": AcceptRules(**values["rules"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{place} holds no settings of a set ({error}).") from error

    def require_same(self, before: "LabelSettings", place: str) -> None:
        """Refuse to continue a set with other settings.

        Raises:
            SessionError: They differ; the message says in what.
        """
        own, earlier = self.as_json(), before.as_json()
        different = [name for name in own if own[name] != earlier[name]]
        if different:
            texts = [f"{name} {earlier[name]!r}, not {own[name]!r}" for name in different]
            raise SessionError(
                f"{place} was begun with {'; '.join(texts)}. Continue it with the same options, "
                "or choose another --out."
            )
