"""Small blobs on their way in: written one by one, made durable behind whoever brings them."""

from __future__ import annotations

import os
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self

from modelpack import limits
from modelpack.content.disk import new_file, write_all
from modelpack.content.pool import Pool, Task
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.store.errors import store_errors
from modelpack.store.paths import Layout


class _Written(NamedTuple):
    descriptor: int
    path: str
    digest: Digest

    def discard(self) -> None:
        """Leave nothing of it."""
        os.close(self.descriptor)
        with suppress(OSError):
            Path(self.path).unlink()


class Gathering:
    """Takes small blobs into a store whose folders are there; at its end all are visible."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._ingest = str(layout.ingest)
        self._written: list[_Written] = []
        self._settling: deque[Task[None]] = deque()
        self._pool = Pool(1, "settle")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_error: object) -> None:
        try:
            with store_errors(self._layout):
                self._hand_on()
                self._wait(0)
        finally:
            self._pool.end()

    def put(self, blob: Descriptor, data: bytes) -> bool:
        """Take *data* if it is *blob*; tells whether it is.

        Raises:
            StoreError: it, or one that was taken before, cannot be stored.
        """
        if len(data) != blob.size or Digest.of(data) != blob.digest:
            return False
        with store_errors(self._layout):
            one = _Written(*new_file(self._ingest), blob.digest)
            try:
                write_all(one.descriptor, data)
                os.posix_fadvise(one.descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            except BaseException:
                one.discard()
                raise
            self._written.append(one)
            if len(self._written) == limits.GATHERED:
                self._hand_on()
                self._wait(limits.GATHERED_GROUPS)
        return True

    def _hand_on(self) -> None:
        group, self._written = self._written, []
        self._settling.append(self._pool.submit(self._settle, group))

    def _wait(self, most: int) -> None:
        """Wait until at most *most* groups are not settled."""
        while len(self._settling) > most:
            self._settling.popleft().result()

    def _settle(self, group: list[_Written]) -> None:
        left = deque(group)
        try:
            while left:
                one = left[0]
                os.fchmod(one.descriptor, 0o644)
                os.fsync(one.descriptor)
                os.replace(one.path, self._layout.blob_name(one.digest))  # noqa: PTH105
                os.close(left.popleft().descriptor)
        finally:
            for one in left:
                one.discard()
