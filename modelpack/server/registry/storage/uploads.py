"""Uploads: bytes that have arrived and are not yet a blob.

An upload is a file with an unguessable name; it outlives its connections and the registry itself.
The running digest is kept in memory beside it, and computed again where that was lost. The caller
sees to it that one upload is written by one request at a time.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack import limits
from modelpack.server.registry import errors
from modelpack.server.registry.names import CANONICAL, ContentDigest, Hasher, new_hasher
from modelpack.server.registry.storage.layout import Layout

_REMEMBERED = 4096
_IOV = 512


@dataclass(slots=True)
class _Running:
    algorithm: str
    hasher: Hasher
    size: int = 0


class Uploads:
    """All unfinished uploads of a registry."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._running: OrderedDict[str, _Running] = OrderedDict()
        self._remembering = threading.Lock()

    def start(self, repository: str, algorithm: str = CANONICAL) -> str:
        """Begin an upload and return its name; *algorithm* is what its digest will be."""
        running = _Running(algorithm, new_hasher(algorithm))
        name = secrets.token_hex(32)
        folder = self._layout.uploads(repository)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch(mode=0o644, exist_ok=False)
        self._remember(name, running)
        return name

    def size(self, repository: str, name: str) -> int:
        """Return how much has arrived, or refuse the request if there is no such upload."""
        try:
            return (self._layout.uploads(repository) / name).stat().st_size
        except FileNotFoundError:
            raise errors.upload_unknown() from None

    def cancel(self, repository: str, name: str) -> None:
        """Throw an upload away, or refuse the request if there is no such upload."""
        with self._remembering:
            self._running.pop(name, None)
        try:
            (self._layout.uploads(repository) / name).unlink()
        except FileNotFoundError:
            raise errors.upload_unknown() from None

    def append(self, repository: str, name: str) -> Appending:
        """Open an upload to add to its end, or refuse the request if there is no such upload."""
        path = self._layout.uploads(repository) / name
        try:
            with self._layout.changing:  # from here on it is too young for the collector
                file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                os.utime(file)
        except FileNotFoundError:
            raise errors.upload_unknown() from None
        size = os.fstat(file).st_size
        running = self._running.get(name)
        if running is None or running.size != size:
            running = None if size else _Running(CANONICAL, new_hasher(CANONICAL))
        if running is not None:
            self._remember(name, running)
        return Appending(path, file, size, running)

    def _remember(self, name: str, running: _Running) -> None:
        with self._remembering:
            self._running[name] = running
            self._running.move_to_end(name)
            while len(self._running) > _REMEMBERED:
                self._running.popitem(last=False)


class Appending:
    """An upload that one request is adding to."""

    def __init__(self, path: Path, file: int, size: int, running: _Running | None) -> None:
        self.path = path
        self.size = size
        self.arrived = size
        """What there will be once all that has arrived is written."""
        self._file = file
        self._running = running
        self._busy = threading.Lock()
        self._closed = False

    def expect(self, digest: ContentDigest) -> None:
        """Compute the algorithm of *digest* on the way, if nothing has been written yet."""
        running = self._running
        if self.size == 0 and running is not None and running.algorithm != digest.algorithm:
            running.algorithm, running.hasher = digest.algorithm, new_hasher(digest.algorithm)

    def write(self, blocks: Sequence[bytes]) -> None:
        """Add *blocks* to the end; after an error the upload ends where the file ends."""
        with self._busy:
            if not self._closed:  # else the request was given up while this waited for a thread
                self._write(blocks)

    def finish(self, blocks: Sequence[bytes], digest: ContentDigest) -> bool:
        """Add *blocks*, sync the file, and tell whether its content has the digest *digest*.

        Raises:
            ConnectionAbortedError: the request was given up meanwhile.
        """
        with self._busy:
            if self._closed:
                raise ConnectionAbortedError
            self._write(blocks)
            if self._computed(digest.algorithm) != digest.hex:
                return False
            os.fsync(self._file)
            return True

    def _write(self, blocks: Sequence[bytes]) -> None:
        for start in range(0, len(blocks), _IOV):
            self._write_some(blocks[start : start + _IOV])

    def _write_some(self, blocks: Sequence[bytes]) -> None:
        wanted = sum(map(len, blocks))
        written = os.writev(self._file, blocks)
        if written < wanted:
            rest = memoryview(b"".join(blocks))[written:]
            while rest:
                rest = rest[os.write(self._file, rest) :]
        if self._running is not None:
            for block in blocks:
                self._running.hasher.update(block)
            self._running.size += wanted
        self.size += wanted

    def close(self) -> None:
        """Let go of the file, once nobody writes to it."""
        with self._busy:
            self._closed = True
            os.close(self._file)

    def _computed(self, algorithm: str) -> str:
        running = self._running
        if running is None or running.algorithm != algorithm or running.size != self.size:
            return self._rehash(algorithm)
        return running.hasher.hexdigest()

    def _rehash(self, algorithm: str) -> str:
        hasher = new_hasher(algorithm)
        offset = 0
        while block := os.pread(self._file, limits.BLOCK, offset):
            hasher.update(block)
            offset += len(block)
        return hasher.hexdigest()
