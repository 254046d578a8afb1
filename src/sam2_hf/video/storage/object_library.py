"""Object libraries: what objects look like, kept in one file for other sessions.

The file is safetensors: the memories of every object, and as metadata their names and the
fingerprint of the weights, since another model cannot read them.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from sam2_hf.atomic_write import write_atomically
from sam2_hf.errors import KindError, SessionError
from sam2_hf.model.checkpoints.weight_fingerprint import is_same_model
from sam2_hf.model.outputs import FrameMemory
from sam2_hf.number_reading import shown
from sam2_hf.picture_files import file_problem
from sam2_hf.video.frame_encoder import model_mark
from sam2_hf.video.prompts import LARGEST_ID, read_object_id
from sam2_hf.video.session_options import SessionOptions
from sam2_hf.video.tracking_model import TrackingModel, require_memory

from .record_store import owned

KIND, VERSION = "sam2_hf.object_library", 1
DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
# what readers of JSON, of safetensors and of their content raise for damaged files
DAMAGED = (SafetensorError, ValueError, TypeError, LookupError, RecursionError)
PARTS = {"spatial": "spatial_bx", "pointer": "pointer_bd", "score": "score_b1"}


@dataclass(frozen=True, slots=True, eq=False)
class KnownObject:
    """What an object looks like to a model, from [`VideoSession.learned`].

    Attributes:
        memories: Memories of some frames, in RAM.
        model: Fingerprint of the model.
    """

    memories: tuple[FrameMemory, ...]
    model: str

    def __repr__(self) -> str:
        count = len(self.memories)
        return f"KnownObject({count} {'memory' if count == 1 else 'memories'})"


def require_known(known: object) -> KnownObject:
    """Return a known object.

    Raises:
        KindError: It is none.
    """
    if not isinstance(known, KnownObject):
        raise KindError(f"{shown(known)} is not a known object. Give library[name].")
    return known


def recalled_memories(
    known: object, model: TrackingModel, options: SessionOptions
) -> list[FrameMemory]:
    """Return the memories of a known object for a session.

    Args:
        known: The object.
        model: The session's model.
        options: The session's options.

    Raises:
        KindError: It is no [`KnownObject`].
        SessionError: Another model made its memories, or this one attends to none.
    """
    known = require_known(known)
    require_memory(model)
    shapes = [(1, *model.memory_shape), (1, model.hidden_dim), (1, 1)]
    fits = is_same_model(known.model, model_mark(model)) and all(
        [tuple(getattr(memory, part).shape) for part in PARTS.values()] == shapes
        for memory in known.memories
    )
    if not fits:
        raise SessionError(
            "this object is known to another model: other weights, another size or another dtype. "
            "Use that model, or give the object's pictures to session.reference()."
        )
    dtype = options.memory_dtype
    # copied, so that an object recalled twice has two memories; fixed shapes tell them by identity
    return [
        replace(memory, spatial_bx=memory.spatial_bx.to(dtype, copy=True))
        for memory in known.memories
    ]


@dataclass(frozen=True, slots=True, eq=False)
class KnownReference:
    """An object of a library as a reference of [`VideoSegmentationPipeline`].

    Attributes:
        known: The object.
        object_id: Its id in the video to track.
        name: What it is, for results.

    Raises:
        KindError: `known` is no [`KnownObject`].
        PromptError: The object id is not a whole number.
    """

    known: KnownObject
    object_id: int
    name: str | None = None

    def __post_init__(self) -> None:
        """Check object and id."""
        require_known(self.known)
        object.__setattr__(self, "object_id", read_object_id(self.object_id))

    def add_to(self, session: "Recalls") -> None:
        """Add it to the session's references of the object."""
        session.recall(self.known, self.object_id)


class Recalls(Protocol):
    """Interface of a session to an object that is known."""

    def recall(self, known: KnownObject, object_id: int) -> None:
        """Add references from a library."""


class Learns(Protocol):
    """Interface of a session to a library."""

    def learned(self, object_id: int, frames: Sequence[int] | None = None) -> KnownObject:
        """Return what an object looks like."""


class ObjectLibrary:
    """Objects by name, of one model, for any number of sessions and videos.

    Example:
        >>> library = ObjectLibrary()
        >>> library.add("cup", tracked, object_id=1, frames=[0, 2])
        >>> path = library.save("cups.safetensors")
        >>> ObjectLibrary.load(path).names
        ('cup',)
    """

    def __init__(self) -> None:
        self._objects: dict[str, KnownObject] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """The objects, in the order in which they were added."""
        return tuple(self._objects)

    def add(
        self, name: str, session: Learns, object_id: int, frames: Sequence[int] | None = None
    ) -> None:
        """Add what an object of a session looks like; to what the library has of this name.

        Args:
            name: Name of the object.
            session: The session.
            object_id: The object.
            frames: See [`VideoSession.learned`].

        Raises:
            UnknownObjectError: The session has no such object.
            FrameError: The object has no memory of a frame.
            SessionError: The session's model differs from that of the library.

        Example:
            >>> library = ObjectLibrary()
            >>> library.add("cup", tracked, object_id=1)
            >>> library["cup"]
            KnownObject(1 memory)
        """
        if not isinstance(name, str) or not name:
            raise SessionError(f"the name of an object is {shown(name)}; it must be a text.")
        known = session.learned(object_id, frames)
        if any(known.model != other.model for other in self._objects.values()):
            raise SessionError(
                "this library is of another model: other weights, another size or another dtype. "
                "Make a library for each model."
            )
        before = self._objects[name].memories if name in self else ()
        self._objects[name] = replace(known, memories=(*before, *known.memories))

    def reference(self, name: str, object_id: int) -> KnownReference:
        """Return an object as a reference of [`VideoSegmentationPipeline`].

        Raises:
            SessionError: There is no object of this name.
            PromptError: The object id is not a whole number.

        Example:
            >>> library = ObjectLibrary()
            >>> library.add("cup", tracked, object_id=1)
            >>> library.reference("cup", object_id=7).name
            'cup'
        """
        return KnownReference(self[name], object_id, name)

    def save(self, path: str | Path) -> Path:
        """Write the library to a file, atomically.

        Raises:
            OutputError: It cannot be written.

        Example:
            >>> path = ObjectLibrary().save("empty.safetensors")
        """
        tensors: dict[str, Tensor] = {}
        listed = []
        for number, (name, known) in enumerate(self._objects.items()):
            for place, memory in enumerate(known.memories):
                key = f"{number}/{place}/"
                tensors |= {key + part: getattr(memory, field) for part, field in PARTS.items()}
            frames = [memory.frame for memory in known.memories]
            listed.append({"name": name, "frames": frames})
        marks = [known.model for known in self._objects.values()]
        kept = {name: tensor.contiguous() for name, tensor in owned(tensors).items()}
        about = {
            **{"version": VERSION, "model": marks[0] if marks else "", "objects": listed},
            "digest": _digest(kept),
        }
        return write_atomically(path, save(kept, {KIND: json.dumps(about)}))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a library.

        Raises:
            SessionError: There is no such file, it is not a library, or it is damaged.

        Example:
            >>> library = ObjectLibrary.load(ObjectLibrary().save("empty.safetensors"))
            >>> len(library)
            0
        """
        if not isinstance(path, str | os.PathLike):
            raise SessionError(f"{shown(path)} is not a path of a library.")
        if problem := file_problem(path, "library"):
            raise SessionError(problem)
        library = cls()
        try:
            with safe_open(str(path), framework="pt") as file:
                about = _read_facts((file.metadata() or {})[KIND])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                if "digest" in about and about["digest"] != _digest(tensors):
                    raise SessionError("its numbers are not those that were written")
                for number, entry in enumerate(about["objects"]):
                    name, frames = _read_entry(entry)
                    if name in library:
                        raise SessionError(f"there are two objects {shown(name)}")
                    memories = tuple(_read_memories(tensors.__getitem__, number, frames))
                    library._objects[name] = KnownObject(memories, about["model"])
        except (*DAMAGED, SessionError) as error:
            raise SessionError(
                f"{path} is not a library of objects, or it is damaged: {error}. Give a file that "
                "ObjectLibrary.save wrote."
            ) from error
        return library

    def __getitem__(self, name: str) -> KnownObject:
        """Look an object up.

        Raises:
            SessionError: There is no object of this name.
        """
        if name not in self._objects:
            known = ", ".join(self._objects) or "none"
            raise SessionError(f"the library has no object {name!r}. Objects: {known}.")
        return self._objects[name]

    def __delitem__(self, name: str) -> None:
        """Remove an object; raises as `library[name]`."""
        if self[name]:
            del self._objects[name]

    def __contains__(self, name: object) -> bool:
        return name in self._objects

    def __iter__(self) -> Iterator[str]:
        return iter(self._objects)

    def __len__(self) -> int:
        return len(self._objects)

    def __repr__(self) -> str:
        return f"ObjectLibrary({', '.join(self._objects)})"


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Hash the bits of all tensors."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_facts(text: str) -> dict[str, Any]:
    """Read what a file says of itself.

    Raises:
        SessionError: A newer version wrote it, or a part has another form.
    """
    about = json.loads(text)
    if about["version"] > VERSION:
        raise SessionError("a newer version of sam2_hf wrote it")
    if not isinstance(about["model"], str) or not isinstance(about["objects"], list):
        raise SessionError("model must be a text, and objects a list")
    return dict(about)


def _read_entry(entry: dict[str, Any]) -> tuple[str, list[int]]:
    """Read the name of an object, and the frames of its memories.

    Raises:
        SessionError: They have another form.
    """
    name, frames = entry["name"], entry["frames"]
    if not isinstance(name, str) or not name:
        raise SessionError(f"the name of an object is {shown(name)}")
    if not isinstance(frames, list) or not all(
        type(frame) is int and 0 <= frame <= LARGEST_ID for frame in frames
    ):
        raise SessionError(f"the frames of {shown(name)} are {shown(frames)}")
    return name, frames


def _read_memories(
    read: Callable[[str], Tensor], number: int, frames: list[int]
) -> Iterator[FrameMemory]:
    """Read the memories of one object.

    Raises:
        SessionError: A tensor holds other numbers.
        SafetensorError: One is missing.
    """
    for place, frame in enumerate(frames):
        parts = {field: read(f"{number}/{place}/{part}") for part, field in PARTS.items()}
        for tensor in parts.values():
            if tensor.dtype not in DTYPES or not tensor.isfinite().all():
                raise SessionError(f"a memory holds {tensor.dtype}, or numbers that are not finite")
        yield FrameMemory(frame, **parts)
