"""Names of blobs, made durable behind whoever brings them.

To sync the folders of a small blob takes longer than all the rest of its upload. So that happens
meanwhile, and what relies on blobs, a manifest, waits for it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from pathlib import Path

from modelpack.content.pool import Pool, Task

_THREADS = 4
"""The kernel does what several ask of a disk at the same time together."""
_BEHIND = 64
"""So many blobs may wait; who brings more waits for the oldest of them."""


class Settling:
    """Calls *sync* with folders, in threads."""

    def __init__(self, sync: Callable[..., None]) -> None:
        self._sync = sync
        self._pool = Pool(_THREADS, "settle")
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._going_on: dict[int, tuple[Task[None], tuple[Path, ...]]] = {}

    def later(self, *folders: Path) -> None:
        """Sync *folders* soon."""
        task: Task[None] = self._pool.submit(self._sync, *folders)
        with self._lock:
            self._going_on[next(self._numbers)] = task, folders
            oldest = list(self._going_on)[:-_BEHIND]
        for number in oldest:
            self._wait_for(number)

    def wait(self) -> None:
        """Wait until all is synced that was given to `later` before.

        Raises:
            OSError: that did not work, and neither when it was tried again.
        """
        with self._lock:
            numbers = list(self._going_on)
        for number in numbers:
            self._wait_for(number)

    def end(self) -> None:
        """Let the threads finish."""
        self._pool.end()

    def _wait_for(self, number: int) -> None:
        with self._lock:
            going_on = self._going_on.get(number)
        if going_on is None:
            return
        task, folders = going_on
        if task.error() is not None:
            self._sync(*folders)
        with self._lock:
            self._going_on.pop(number, None)
