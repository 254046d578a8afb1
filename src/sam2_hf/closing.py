"""Base of closable objects, as context managers."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Holder of files, threads or memory until it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Release everything; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
