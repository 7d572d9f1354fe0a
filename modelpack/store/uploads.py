"""The uploads that did not end: where each goes on, so that a later push can.

A file beside the partial downloads, locked by whoever sends the blob. Readable by its owner only,
since a location may be all that it takes to write there.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from modelpack import limits
from modelpack.content.base import UploadNote
from modelpack.errors import StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.store.errors import store_errors
from modelpack.store.paths import Layout

_VERSION = 1


class Uploads:
    """The notes of a store; implements `modelpack.content.base.UploadJournal`."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    @contextmanager
    def note(self, place: str, blob: Descriptor) -> Iterator[UploadNote]:
        """Have the note of the upload of *blob* to *place* for oneself.

        A small blob has none, nor one that another process sends just now, nor any in a store
        that cannot be written.
        """
        key = Digest.of(f"{place} {blob.digest}".encode())
        path = self.layout.ingest / f"upload-{key.hex}.json"
        with ExitStack() as held:
            note = _Note(path, {"place": place, "digest": str(blob.digest)})
            if blob.size >= limits.UPLOADS_KEPT_FROM:
                with suppress(StoreError):
                    note.descriptor = held.enter_context(self._locked(path))
            note.read()
            yield note
            if note.kept and not note.location:
                path.unlink(missing_ok=True)

    @contextmanager
    def _locked(self, path: Path) -> Iterator[int]:
        """Yield the open file, or -1 where another process has it."""
        with store_errors(self.layout):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            yield descriptor if _lock(descriptor, path) else -1
        finally:
            os.close(descriptor)


def _lock(descriptor: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), path.lstat())  # else it was just removed
    except OSError:
        return False


class _Note:
    """See `modelpack.content.base.UploadNote`."""

    def __init__(self, path: Path, about: dict[str, str]) -> None:
        self.location = ""
        self.descriptor = -1
        self._path = path
        self._about = about

    @property
    def kept(self) -> bool:
        """Whether it outlives this process."""
        return self.descriptor >= 0

    def read(self) -> None:
        """Take in what an earlier process wrote, if that makes sense."""
        if not self.kept:
            return
        try:
            value = json.loads(os.pread(self.descriptor, limits.UPLOAD_JOURNAL, 0))
        except (ValueError, RecursionError, OSError):
            return
        if not isinstance(value, dict) or value.get("version") != _VERSION:
            return
        location = value.get("location")
        if isinstance(location, str) and self._about.items() <= value.items():
            self.location = location

    def keep(self, location: str) -> None:
        """Remember where the upload goes on."""
        self.location = location
        if not self.kept:
            return
        text = json.dumps({"version": _VERSION, **self._about, "location": location})
        with suppress(OSError):  # a full disk must not keep anybody from sending
            os.ftruncate(self.descriptor, 0)
            os.pwrite(self.descriptor, text.encode(), 0)

    def forget(self) -> None:
        """Remember nothing: it is done, or was given up."""
        self.location = ""
