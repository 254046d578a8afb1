"""What must be closed when it is no longer needed, and can stand in a `with`."""

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Something that holds files, threads or memory until it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
