"""Modules that take long to load, and are loaded when they are first used, if ever."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def put_off(*names: str) -> Iterator[None]:
    """Let the block's imports of these modules load them only when they are first used."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules |= {name: _Later(name) for name in absent}
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


class _Later(ModuleType):
    def __getattr__(self, key: str) -> object:
        return getattr(importlib.import_module(self.__name__), key)
