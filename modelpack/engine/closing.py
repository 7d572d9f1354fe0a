"""What holds a model, and lets go of it at the end of a `with` block."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """Can be used in `with`, which closes it."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the model; a second time does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()
