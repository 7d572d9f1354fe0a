"""Modules that take long to load, and are loaded when they are first used, if ever."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


@contextmanager
def put_off(name: str) -> Iterator[None]:
    """Let the block's imports of the module *name* load it only when it is first used."""
    if name in sys.modules:
        yield
        return
    module = ModuleType(name)
    module.__getattr__ = lambda key: getattr(importlib.import_module(name), key)  # type: ignore[method-assign]
    sys.modules[name] = module
    try:
        yield
    finally:
        del sys.modules[name]
