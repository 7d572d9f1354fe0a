"""How much memory models take, and how much there is for more of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from modelpack.errors import ModelPackError
from modelpack.runtime.placement.devices import read_system
from modelpack.runtime.placement.plan import needs_of

if TYPE_CHECKING:
    from modelpack.engine.base import LoadOptions
    from modelpack.runtime.model import ModelFiles


class Memory:
    """What this machine has, and what of it models have.

    Weights that are mapped count as free memory with the system, so what models take is counted
    here, too.
    """

    def __init__(self, *, slots: int) -> None:
        self._slots = slots
        self._loading: dict[int, int] = {}
        self._loaded: dict[int, int] = {}

    async def size(self, files: ModelFiles, options: LoadOptions) -> int:
        """Return the bytes that the model *files* takes; 0 where its headers do not say."""
        try:
            needs = await asyncio.to_thread(needs_of, files, replace(options, slots=self._slots))
        except (ModelPackError, OSError):
            return 0  # loading says what is wrong
        return needs.total

    def free(self) -> int:
        """Return the bytes that models may still take, GPUs' included."""
        system = read_system()
        devices = [device for device in system.devices if not device.integrated]
        total = system.memory.total + sum(device.total for device in devices)
        free = system.memory.available + sum(device.free for device in devices)
        loading = sum(self._loading.values())
        return max(0, min(free - loading, total - loading - sum(self._loaded.values())))

    def take(self, runner: int, size: int) -> None:
        """Take note that *runner* is being loaded and will have *size* bytes."""
        self._loading[runner] = size

    def keep(self, runner: int) -> None:
        """Take note that *runner* is loaded."""
        self._loaded[runner] = self._loading.pop(runner, 0)

    def give_back(self, runner: int) -> None:
        """Take note that *runner* has ended."""
        self._loading.pop(runner, None)
        self._loaded.pop(runner, None)
