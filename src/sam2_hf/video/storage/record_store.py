"""Record store for offloaded tensors: in RAM up to a budget, the oldest spilled to files.

Named tensors are serialized exactly, in the safetensors format; never a pickle.
"""

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from operator import attrgetter
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from sam2_hf.closing import Closing
from sam2_hf.errors import OutputError, SessionError
from sam2_hf.video.session_lock import SessionLock

from .spill_files import SEGMENT_BYTES, SegmentFiles, segment_of

# RAM overhead of a small tensor and of a dictionary of tensors, in bytes, measured with torch 2.13
# on Linux. Without it a million short masks would look free.
TENSOR_OVERHEAD = 450
RECORD_OVERHEAD = 500


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Serialize tensors of any device, layout and dtype as safetensors bytes."""
    return save({name: tensor.contiguous() for name, tensor in owned(tensors).items()})


def unpack(content: bytes) -> dict[str, Tensor]:
    """Deserialize the output of `pack`: the same bits, dtypes and shapes, in RAM.

    Raises:
        SafetensorError: The bytes are invalid.
    """
    return load(content)


def owned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Copy tensors to RAM so that each owns its storage.

    A tensor that already does is returned as is. Slices and tensors that share storage are copied:
    otherwise one small slice would keep the whole batch alive.
    """
    kept: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, given in tensors.items():
        tensor = given.detach().cpu()
        storage = tensor.untyped_storage()
        if storage.nbytes() > tensor.nbytes or storage.data_ptr() in seen:
            tensor = tensor.clone()
        seen.add(storage.data_ptr())
        kept[name] = tensor
    return kept


def bytes_held(tensors: Mapping[str, Tensor]) -> int:
    """RAM of a record in bytes, including Python objects (to about 20 %)."""
    values = sum(map(attrgetter("nbytes"), tensors.values()))
    return values + len(tensors) * TENSOR_OVERHEAD + RECORD_OVERHEAD


Key = tuple[int, int, str]  # object id, frame, kind ("memory" or "mask")
NOT_WRITTEN = b""  # place of a record that is only in RAM


class RecordStore(Closing):
    """Records of named tensors, by object, frame and kind.

    New records stay in RAM. Beyond the budget the oldest are spilled to files, which leaves about
    200 bytes of RAM per record. A record in RAM is returned without a copy: do not modify its
    tensors in place.

    Attributes:
        ram_budget: May be changed; applied by the next `put`.
        tensor_names: Names of tensors in records that were put; restored ones are added by their
            reader. Discarded records are still counted.

    Args:
        ram_budget: Bytes of RAM for records, including Python objects.
        folder: Parent of the spill folder, created at once; None for the system's temporary folder,
            on first need. Removed when the store is closed or garbage-collected.
        segment_bytes: Maximum file size; at least half of each full file is in use.

    Raises:
        OutputError: `folder` cannot be written to.
    """

    def __init__(
        self, *, ram_budget: int, folder: Path | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.files = SegmentFiles(folder, segment_bytes=segment_bytes)
        self.ram_budget = ram_budget
        self.tensor_names: frozenset[str] = frozenset()
        self._folder = folder
        self._bytes_in_ram = 0
        self._in_ram: OrderedDict[Key, dict[str, Tensor]] = OrderedDict()
        self._places: dict[tuple[int, str], dict[int, bytes]] = {}
        self._closed = False
        self._lock = SessionLock()  # masklets may be read while another thread tracks

    def put(self, key: Key, record: Mapping[str, Tensor]) -> None:
        """Store a record, replacing an older one with the same key.

        Args:
            key: Object id, frame and kind.
            record: Name -> tensor of any shape and dtype. Not copied if the tensor is in RAM and
                owns its storage.

        Raises:
            OutputError: The disk is full. The record is kept in RAM beyond the budget, and each
                later call tries to spill again.
            SessionError: The history is closed.
        """
        self._require_open()
        kept = owned(record)
        object_id, frame, kind = key
        with self._lock:
            self.discard(key)
            self._places.setdefault((object_id, kind), {})[frame] = NOT_WRITTEN
            self._in_ram[key] = kept
            self.tensor_names |= {*kept}
            self._bytes_in_ram += bytes_held(kept)
            self._make_room()

    def get(self, key: Key) -> dict[str, Tensor] | None:
        """Look up a record: exact bits, dtypes and shapes; None if there is none.

        Raises:
            SessionError: The history is closed, or its file was deleted.
        """
        self._require_open()
        object_id, frame, kind = key
        with self._lock:
            if key in self._in_ram:
                return dict(self._in_ram[key])
            place = self._places.get((object_id, kind), {}).get(frame)
            return None if place is None else unpack(self.files.read(place))

    def discard(self, key: Key) -> None:
        """Delete a record, if any."""
        object_id, frame, kind = key
        with self._lock:
            frames = self._places.get((object_id, kind), {})
            place = frames.pop(frame, NOT_WRITTEN)
            self._leave_ram(key)
            if place:
                self.files.free(place)
            if not frames:
                self._places.pop((object_id, kind), None)

    def discard_object(self, object_id: int) -> None:
        """Delete all records of an object."""
        kinds = [kind for owner, kind in self._places if owner == object_id]
        for kind in kinds:
            for frame in list(self._places[object_id, kind]):
                self.discard((object_id, frame, kind))

    def frames(self, object_id: int, kind: str) -> list[int]:
        """List the frames with a record, in order."""
        return sorted(self._places.get((object_id, kind), ()))

    def __contains__(self, key: Key) -> bool:
        object_id, frame, kind = key
        return frame in self._places.get((object_id, kind), ())

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    @property
    def bytes_in_ram(self) -> int:
        """RAM of records in bytes, without the index of those on disk."""
        return self._bytes_in_ram

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all spill files; kept at about twice the bytes in use or less."""
        return self.files.num_bytes

    def flush(self) -> None:
        """Write records that are only in RAM to files; they also stay in RAM.

        Raises:
            OutputError: The disk is full. Nothing is lost.
        """
        for key in self._in_ram:
            self._write(key)

    def places(self) -> Iterator[tuple[Key, bytes]]:
        """Iterate over records and their places in files; `NOT_WRITTEN` if only in RAM."""
        for (object_id, kind), frames in self._places.items():
            for frame, place in frames.items():
                yield (object_id, frame, kind), place

    def restore(self, places: Iterable[tuple[Key, bytes]]) -> None:
        """Restore records in adopted segments from the output of `places()`."""
        for (object_id, frame, kind), place in places:
            self._places.setdefault((object_id, kind), {})[frame] = place

    def close(self) -> None:
        """Delete everything including files; idempotent."""
        with self._lock:
            self._closed = True
            self._in_ram.clear()
            self._places.clear()
            self._bytes_in_ram = 0
            self.files.close()

    def __deepcopy__(self, memo: dict[int, object]) -> "RecordStore":
        """Copy every record, also those in files, to a history with its own files."""
        self._require_open()
        twin = RecordStore(ram_budget=self.ram_budget, folder=self._folder)
        for key, _ in self.places():
            twin.put(key, {name: tensor.clone() for name, tensor in (self.get(key) or {}).items()})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return the state to pickle: every record, also those in files."""
        self._require_open()
        records = {key: pack(self.get(key) or {}) for key, _ in self.places()}
        return {"ram_budget": self.ram_budget, "folder": self._folder, "records": records}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with new files; in the temporary folder if the original folder is missing."""
        try:
            self.__init__(ram_budget=state["ram_budget"], folder=state["folder"])  # type: ignore[misc]
        except OutputError:
            self.__init__(ram_budget=state["ram_budget"])  # type: ignore[misc]
        for key, content in state["records"].items():
            self.put(key, unpack(content))

    def _make_room(self) -> None:
        """Spill the oldest records until the rest fits."""
        if self._bytes_in_ram <= self.ram_budget:
            return
        while self._in_ram and self._bytes_in_ram > self.ram_budget:
            key = next(iter(self._in_ram))
            self._write(key)
            self._leave_ram(key)
        self._tidy_files()

    def _write(self, key: Key) -> None:
        """Write a record in RAM to a file, if not done yet."""
        object_id, frame, kind = key
        frames = self._places[object_id, kind]
        if frames[frame] == NOT_WRITTEN:
            frames[frame] = self.files.append(pack(self._in_ram[key]))

    def _leave_ram(self, key: Key) -> None:
        record = self._in_ram.pop(key, None)
        if record is not None:
            self._bytes_in_ram -= bytes_held(record)

    def _tidy_files(self) -> None:
        """Compact segments that hold little, so that they are deleted."""
        wasteful = self.files.wasteful()
        if not wasteful:
            return
        # compaction is optional: on failure every record stays where it was
        with contextlib.suppress(OutputError, SessionError):
            for (object_id, frame, kind), place in self.places():
                if place and segment_of(place) in wasteful:
                    self._places[object_id, kind][frame] = self.files.move(place)

    def _require_open(self) -> None:
        if self._closed:
            raise SessionError(
                "this session is closed, and its results are deleted. "
                "Read masklets before session.close(), or session.save(folder) first."
            )
