"""Photo inputs of a call: one, a list, or a stream of any length, read in batches."""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from sam2_hf.errors import PromptError
from sam2_hf.number_reading import is_finite_number, shown
from sam2_hf.processing.images import ImageSource, load_image, read_values, rgb_of, scale_of
from sam2_hf.processing.value_range import ValueRange, ValueScale, read_value_range
from sam2_hf.results.found_object import Origin
from sam2_hf.results.pictures import as_picture

BATCH_DIMENSIONS = 4  # of several photos in one array
LONGEST_PATH = 4096  # characters; base64 text of a photo is longer
NOT_SEVERAL = (str, bytes, bytearray, Mapping, np.ndarray, Tensor)  # iterable, but one input each
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingOptions:
    """Options of reading the photos of a call.

    Attributes:
        batch_size: Photos encoded together on a GPU. On the CPU each photo is encoded alone, which
            is as fast. Masks do not depend on it (on a GPU, up to the order of summation).
        num_workers: Processes that read the items of a `torch.utils.data.Dataset` ahead; 0 reads
            them when they are needed.
        timeout: Timeout for a photo from an `http(s)` address, seconds; None waits forever.
        value_range: Which numbers are black and white, for the photos of a call together; see
            `processing/value_range.py`. The processor's if None.

    Raises:
        PromptError: A value cannot be used.
        ImageError: The range is invalid.
    """

    batch_size: int | None = None
    num_workers: int | None = None
    timeout: float | None = None
    value_range: ValueRange = None

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("num_workers", 0)):
            value = getattr(self, name)
            is_count = isinstance(value, int) and not isinstance(value, bool)
            if value is not None and not (is_count and least <= value <= sys.maxsize):
                raise PromptError(
                    f"{name} is {shown(value)}; it must be a whole number of at least {least}."
                )
        seconds = self.timeout
        if seconds is not None and not (is_finite_number(seconds) and seconds > 0):
            raise PromptError(
                f"timeout is {shown(seconds)}; it must be a number of seconds above 0."
            )
        read_value_range(self.value_range)

    @classmethod
    def names(cls) -> frozenset[str]:
        """Return the names of the options."""
        return frozenset(field.name for field in fields(cls))

    def taken_from(self, options: Mapping[str, Any]) -> tuple["ReadingOptions", dict[str, Any]]:
        """Return a copy updated from `options`, and the remaining options.

        Raises:
            PromptError: A value cannot be used.
        """
        own = {name: options[name] for name in options if name in self.names()}
        rest = {name: value for name, value in options.items() if name not in own}
        return replace(self, **{k: v for k, v in own.items() if v is not None}), rest


@dataclass(frozen=True, slots=True, eq=False)
class ReadPhoto:
    """A photo in memory.

    Attributes:
        pixels_3hw: `(3, height, width)`, uint8 or float32 0-1.
        origin: Where it came from.
    """

    pixels_3hw: Tensor
    origin: Origin

    @property
    def original_size(self) -> tuple[int, int]:
        """`(height, width)`, pixels."""
        return self.pixels_3hw.shape[1], self.pixels_3hw.shape[2]


class PhotoReader:
    """Reader of the photos of one call, with one value scale: that of the first batch.

    Args:
        options: How they are read.
    """

    def __init__(self, options: ReadingOptions) -> None:
        self._options = options
        self._timeout = options.timeout
        self._value_range = read_value_range(options.value_range)
        self._scale: ValueScale | None = None

    def __call__(self, photos: Sequence[ImageSource]) -> list[ReadPhoto]:
        """Read photos.

        Raises:
            ImageError: One cannot be read, or does not fit the scale of earlier ones.
        """
        values = [read_values(load_image(photo, self._timeout)) for photo in photos]
        if self._scale is None and values:
            self._scale = scale_of(values, self._value_range)
        return [
            ReadPhoto(rgb_of(values_chw, self._scale), _origin(photo, self._options))
            for photo, values_chw in zip(photos, values, strict=True)
            if self._scale
        ]


def _origin(image: ImageSource, options: ReadingOptions) -> Origin:
    """Remember how a photo was given, not its pixels, so that results stay small."""
    path = ""
    if isinstance(image, str | os.PathLike) and len(os.fspath(image)) < LONGEST_PATH:
        path = os.fspath(image)  # a longer text holds the photo itself
    return Origin(path, partial(_read_again, image, options))


def _read_again(image: ImageSource, options: ReadingOptions) -> NDArray[np.uint8]:
    (photo,) = PhotoReader(options)([image])
    return as_picture(photo.pixels_3hw)


@dataclass(frozen=True, slots=True, eq=False)
class PhotoInputs:
    """The photos of a call.

    Attributes:
        items: The photos; read once and in order.
        form: A single photo, a list, or a stream that is read lazily.
    """

    items: Any
    form: Literal["single", "list", "stream"]

    @classmethod
    def of(cls, given: object) -> "PhotoInputs":
        """Classify an input as one photo, a list or a stream.

        Args:
            given: A photo; a list, tuple, or an array with one axis more; or a generator or another
                iterator, a `torch.utils.data.Dataset`, or anything else with a length and items.
        """
        if isinstance(given, np.ndarray | Tensor) and given.ndim == BATCH_DIMENSIONS:
            return cls(list(given), "list")
        if isinstance(given, list | tuple):
            return cls(list(given), "list")
        is_sized = hasattr(given, "__len__") and hasattr(given, "__getitem__")
        if isinstance(given, Dataset) or (
            not isinstance(given, NOT_SEVERAL) and (isinstance(given, Iterable) or is_sized)
        ):
            return cls(given, "stream")
        return cls([given], "single")

    def answer(
        self, find_all: Callable[[Iterator[Any]], Iterator[Result]], num_workers: int | None
    ) -> Any:  # noqa: ANN401 - one result, a list or a stream of them
        """Return results in the form of the photos.

        Args:
            find_all: Yields a result for each photo of an iterator.
            num_workers: See [`ReadingOptions`].
        """
        if self.form == "stream":
            return ResultStream(lambda: find_all(_items(self.items, num_workers)), self.items)
        results = list(find_all(iter(self.items)))
        return results[0] if self.form == "single" else results


class ResultStream(Iterator[Any]):
    """Lazy results; `len` works if the photos have one.

    Each iteration starts at the first photo again, if the photos allow that.
    """

    def __init__(self, start: Callable[[], Iterator[Any]], photos: object) -> None:
        self._start = start
        self._photos: Any = photos
        self._running: Iterator[Any] | None = None

    def __iter__(self) -> "ResultStream":
        self._running = self._start()
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - the pipeline's result for a photo
        if self._running is None:
            self._running = self._start()
        return next(self._running)

    def __len__(self) -> int:
        return len(self._photos)


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Group items into lists of `size`."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def require_flag(name: str, value: object) -> None:
    """Require True or False.

    Raises:
        PromptError: `value` is neither.
    """
    if not isinstance(value, bool):
        raise PromptError(f"{name} is {shown(value)}; it must be True or False.")


def _items(photos: Any, num_workers: int | None) -> Iterator[Any]:  # noqa: ANN401
    """Iterate over a stream, with worker processes if there are any."""
    if isinstance(photos, Dataset) and num_workers:
        # each worker would read an iterable dataset from its start
        count = 1 if isinstance(photos, IterableDataset) else num_workers
        return iter(DataLoader(photos, batch_size=None, num_workers=count, collate_fn=_unchanged))
    if hasattr(photos, "__iter__"):
        return iter(photos)
    # a dataset need not raise IndexError at its end
    return (photos[place] for place in range(len(photos)))


def _unchanged(item: Item) -> Item:
    return item
