"""Tracks of everything-mode: what is known about each object besides its memories."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from sam2_hf.errors import SessionError
from sam2_hf.video.review import FrameToReview


@dataclass(slots=True)
class ObjectTrack:
    """One object of the current scene.

    Attributes:
        object_id: Its id.
        last_seen: Last frame on which it was in view.
        last_confirmed: Last key frame with a mask of this object.
        absences: Key frames in a row at which it had not been seen since the one before.
        unconfirmed: Key frames in a row on which it was in view without a mask of its own.
        twin: Older object with the same mask on the last key frame; None if there was none.
        has_ended: Whether it is no longer tracked from frame to frame.
    """

    object_id: int
    last_seen: int
    last_confirmed: int
    absences: int = 0
    unconfirmed: int = 0
    twin: int | None = None
    has_ended: bool = False


@dataclass(slots=True)
class EverythingState:
    """All state of a run that is neither in the session nor in the results.

    Attributes:
        frame: The next frame.
        key_frame: The next key frame.
        next_id: Id of the next new object.
        tracks: Tracks of the current scene by object id, also ended ones that may be found again.
        cuts: Frames on which a scene began, without the first of the video.
        notes: Doubts for review.
        full_on: First key frame on which a mask was left out for `max_objects`; None if none was.
    """

    frame: int = 0
    key_frame: int = 0
    next_id: int = 1
    tracks: dict[int, ObjectTrack] = field(default_factory=dict)
    cuts: list[int] = field(default_factory=list)
    notes: list[FrameToReview] = field(default_factory=list)
    full_on: int | None = None

    @property
    def active(self) -> list[int]:
        """Objects that are tracked from frame to frame."""
        return [number for number, track in self.tracks.items() if not track.has_ended]

    @property
    def ended(self) -> list[int]:
        """Objects whose tracks have ended, the one seen last first."""
        ended = [track for track in self.tracks.values() if track.has_ended]
        return [track.object_id for track in sorted(ended, key=lambda track: -track.last_seen)]

    def add(self, frame: int) -> int:
        """Begin a track on a frame; returns its id."""
        object_id = self.next_id
        self.next_id += 1
        self.tracks[object_id] = ObjectTrack(object_id, last_seen=frame, last_confirmed=frame)
        return object_id

    def see(self, frame: int, in_view: Iterable[int]) -> None:
        """Note the objects in view on a frame."""
        for object_id in in_view:
            self.tracks[object_id].last_seen = frame

    def note(self, frame: int, object_id: int, reason: str, severity: float) -> None:
        """Note a doubt."""
        self.notes.append(FrameToReview(frame, object_id, (reason,), severity))

    def to_json(self) -> dict[str, Any]:
        """Return everything, ready for JSON."""
        return {
            **asdict(self),
            "tracks": [asdict(track) for track in self.tracks.values()],
            "notes": [asdict(note) for note in self.notes],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "EverythingState":
        """Restore the output of `to_json`.

        Raises:
            SessionError: It has another form.
        """
        try:
            tracks = [ObjectTrack(**fields) for fields in content["tracks"]]
            notes = [
                FrameToReview(**{**fields, "reasons": tuple(fields["reasons"])})
                for fields in content["notes"]
            ]
            by_id = {track.object_id: track for track in tracks}
            state = cls(**{**content, "tracks": by_id, "notes": notes})
            counts = [state.frame, state.key_frame, state.next_id - 1, *state.cuts]
            if any(type(count) is not int or count < 0 for count in counts):
                raise ValueError(f"frames and ids are {counts}")
            return state
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise SessionError(
                f"the state of everything-mode is damaged ({error!r}). Start over."
            ) from error
