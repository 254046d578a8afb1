"""Results with fields as items, `result["masks"]`, and as attributes, `result.masks`."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar


class ResultMapping(Mapping[str, Any]):
    """Base of results whose fields are also items, as in transformers' pipelines.

    Attributes:
        FIELDS: Names of the fields, in order.
    """

    __slots__ = ()
    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __getitem__(self, key: str) -> Any:  # noqa: ANN401 - each field has its own type
        """Return a field by name.

        Raises:
            KeyError: There is no such field.
        """
        if key not in self.FIELDS:
            raise KeyError(f"there is no {key!r}. Choose from: {', '.join(self.FIELDS)}.")
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(self.FIELDS)

    def __len__(self) -> int:
        return len(self.FIELDS)

    # A result holds arrays, whose comparison is neither cheap nor a single boolean.
    __eq__ = object.__eq__
    __hash__ = object.__hash__
