"""Records that have left the device: in RAM up to a budget, the oldest of them in files.

Named tensors become bytes and back, exactly, in the safetensors format; never a pickle.
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

# What a small tensor and a dictionary of tensors cost in RAM besides the numbers, in bytes,
# measured with torch 2.13 on Linux. Without it a million short masks would look free.
TENSOR_OVERHEAD = 450
RECORD_OVERHEAD = 500


def pack(tensors: Mapping[str, Tensor]) -> bytes:
    """Write tensors of any device, layout and dtype as the bytes of a safetensors file."""
    return save({name: tensor.contiguous() for name, tensor in owned(tensors).items()})


def unpack(content: bytes) -> dict[str, Tensor]:
    """Read what `pack` wrote: the same bits, dtypes and shapes, in RAM.

    Raises:
        SafetensorError: The bytes are something else.
    """
    return load(content)


def owned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Bring tensors to RAM so that each holds its own numbers and no more.

    A tensor that already does is passed on as it is. A slice of a larger one, or one of two that
    share their numbers, is copied: otherwise one small slice would keep the whole batch alive.
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
    """Bytes of RAM that a record takes, its Python objects included (to about 20 %)."""
    values = sum(map(attrgetter("nbytes"), tensors.values()))
    return values + len(tensors) * TENSOR_OVERHEAD + RECORD_OVERHEAD


Key = tuple[int, int, str]  # object id, frame, kind ("memory" or "mask")
NOT_WRITTEN = b""  # the place of a record that is nowhere but in RAM


class RecordStore(Closing):
    """Records of named tensors, found by object, frame and kind.

    New records stay in RAM. When they take more than the budget, those put first go to files, of
    which about 200 bytes of RAM per record remain. A record in RAM is handed out as it is: do not
    change its tensors in place.

    Attributes:
        ram_budget: May be changed; the next `put` sees to it.

    Args:
        ram_budget: Bytes of RAM for records, their Python objects included.
        folder: Where the spill folder is made, at once; None for the system's temporary folder, on
            first need. It is removed when the history is closed or forgotten.
        segment_bytes: How large a file may grow; at least half of each full one is needed.

    Raises:
        OutputError: `folder` cannot be written to.
    """

    def __init__(
        self, *, ram_budget: int, folder: Path | None = None, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        self.files = SegmentFiles(folder, segment_bytes=segment_bytes)
        self.ram_budget = ram_budget
        self._folder = folder
        self._bytes_in_ram = 0
        self._in_ram: OrderedDict[Key, dict[str, Tensor]] = OrderedDict()
        self._places: dict[tuple[int, str], dict[int, bytes]] = {}
        self._closed = False
        self._lock = SessionLock()  # masklets are read while another thread tracks

    def put(self, key: Key, record: Mapping[str, Tensor]) -> None:
        """Keep a record, in place of an older one with that key.

        Args:
            key: Object id, frame and kind.
            record: Name -> tensor of any shape and dtype. Kept without a copy where the tensor
                lies in RAM and is no slice of a larger one.

        Raises:
            OutputError: The disk is full. The record is kept all the same, in RAM beyond the
                budget, and each later call tries again to make room.
            SessionError: The history is closed.
        """
        self._require_open()
        kept = owned(record)
        object_id, frame, kind = key
        with self._lock:
            self.discard(key)
            self._places.setdefault((object_id, kind), {})[frame] = NOT_WRITTEN
            self._in_ram[key] = kept
            self._bytes_in_ram += bytes_held(kept)
            self._make_room()

    def get(self, key: Key) -> dict[str, Tensor] | None:
        """Look up a record: exact bits, dtypes and shapes; None if there is none.

        Raises:
            SessionError: The history is closed, or its file was deleted by someone else.
        """
        self._require_open()
        object_id, frame, kind = key
        with self._lock:
            if key in self._in_ram:
                return dict(self._in_ram[key])
            place = self._places.get((object_id, kind), {}).get(frame)
            return None if place is None else unpack(self.files.read(place))

    def discard(self, key: Key) -> None:
        """Forget a record, if there is one."""
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
        """Forget every record of an object."""
        kinds = [kind for owner, kind in self._places if owner == object_id]
        for kind in kinds:
            for frame in list(self._places[object_id, kind]):
                self.discard((object_id, frame, kind))

    def frames(self, object_id: int, kind: str) -> list[int]:
        """List the frames of which there is a record, in order."""
        return sorted(self._places.get((object_id, kind), ()))

    def __contains__(self, key: Key) -> bool:
        object_id, frame, kind = key
        return frame in self._places.get((object_id, kind), ())

    def __len__(self) -> int:
        return sum(map(len, self._places.values()))

    @property
    def bytes_in_ram(self) -> int:
        """Bytes of RAM that records take, without the index of those on disk."""
        return self._bytes_in_ram

    @property
    def bytes_on_disk(self) -> int:
        """Bytes of all spill files; as they grow, they are kept near twice what is needed."""
        return self.files.num_bytes

    def flush(self) -> None:
        """Write to files what is nowhere but in RAM; it stays in RAM too, to be found quickly.

        Raises:
            OutputError: The disk is full. Nothing is lost.
        """
        for key in self._in_ram:
            self._write(key)

    def places(self) -> Iterator[tuple[Key, bytes]]:
        """Go through every record and its place in the files; `NOT_WRITTEN` for one only in RAM."""
        for (object_id, kind), frames in self._places.items():
            for frame, place in frames.items():
                yield (object_id, frame, kind), place

    def restore(self, places: Iterable[tuple[Key, bytes]]) -> None:
        """Know records again that lie in adopted segments; `places` as `places()` listed them."""
        for (object_id, frame, kind), place in places:
            self._places.setdefault((object_id, kind), {})[frame] = place

    def close(self) -> None:
        """Forget everything and remove the files; a second call does nothing."""
        with self._lock:
            self._closed = True
            self._in_ram.clear()
            self._places.clear()
            self._bytes_in_ram = 0
            self.files.close()

    def __deepcopy__(self, memo: dict[int, object]) -> "RecordStore":
        """Copy every record, also those in files, to a history with files of its own."""
        self._require_open()
        twin = RecordStore(ram_budget=self.ram_budget, folder=self._folder)
        for key, _ in self.places():
            twin.put(key, {name: tensor.clone() for name, tensor in (self.get(key) or {}).items()})
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """List what is pickled: every record, also those in files."""
        self._require_open()
        records = {key: pack(self.get(key) or {}) for key, _ in self.places()}
        return {"ram_budget": self.ram_budget, "folder": self._folder, "records": records}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with files of its own; in the temporary folder if the other one is not there."""
        try:
            self.__init__(ram_budget=state["ram_budget"], folder=state["folder"])  # type: ignore[misc]
        except OutputError:
            self.__init__(ram_budget=state["ram_budget"])  # type: ignore[misc]
        for key, content in state["records"].items():
            self.put(key, unpack(content))

    def _make_room(self) -> None:
        """Move the records put first out of RAM until the rest fits."""
        if self._bytes_in_ram <= self.ram_budget:
            return
        while self._in_ram and self._bytes_in_ram > self.ram_budget:
            key = next(iter(self._in_ram))
            self._write(key)
            self._leave_ram(key)
        self._tidy_files()

    def _write(self, key: Key) -> None:
        """See that a record in RAM is in a file too."""
        object_id, frame, kind = key
        frames = self._places[object_id, kind]
        if frames[frame] == NOT_WRITTEN:
            frames[frame] = self.files.append(pack(self._in_ram[key]))

    def _leave_ram(self, key: Key) -> None:
        record = self._in_ram.pop(key, None)
        if record is not None:
            self._bytes_in_ram -= bytes_held(record)

    def _tidy_files(self) -> None:
        """Empty the segments that hold little, so that they go."""
        wasteful = self.files.wasteful()
        if not wasteful:
            return
        # tidying saves room and is no reason to fail: without it every record is where it was
        with contextlib.suppress(OutputError, SessionError):
            for (object_id, frame, kind), place in self.places():
                if place and segment_of(place) in wasteful:
                    self._places[object_id, kind][frame] = self.files.move(place)

    def _require_open(self) -> None:
        if self._closed:
            raise SessionError(
                "this session is closed, and what it had tracked is gone with it. "
                "Read masklets before session.close(), or session.save(folder) first."
            )
