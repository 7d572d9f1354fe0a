"""Blobs: written aside, verified, made durable, then renamed into place.

A file below `blobs/` is complete: it was fsynced after its digest was checked, and got its name
only then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from modelpack import limits
from modelpack.content.base import Advance, Readable
from modelpack.content.disk import have_same_bytes, new_file, sync_folder, write_all
from modelpack.content.verify import VerifyingReader
from modelpack.errors import NotFoundError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.store.errors import store_errors
from modelpack.store.gathering import Gathering
from modelpack.store.paths import Layout


@dataclass(frozen=True, slots=True)
class ScratchFile:
    """A blob on its way in; see `modelpack.content.base.Scratch`."""

    path: Path
    layout: Layout

    def commit(self, digest: Digest) -> None:
        """Make the file durable and visible as the blob *digest*; `Blobs.sync` keeps its name.

        A blob with the same bytes stays: to read it costs less than to write it to the disk again.
        """
        final = self.layout.blob(digest)
        with store_errors(self.layout):
            if have_same_bytes(self.path, final):
                self.path.unlink()
                return
            with self.path.open("rb") as file:
                os.fsync(file.fileno())
                links = os.fstat(file.fileno()).st_nlink
            if links == 1:  # else it is somebody's file as well
                self.path.chmod(0o644)
            self.path.replace(final)


class Blobs:
    """The blobs below one folder."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def path(self, digest: Digest) -> Path:
        """Return the file of the blob *digest*, there or not."""
        return self.layout.blob(digest)

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is there with the size it should have."""
        try:
            return os.stat(self.layout.blob_name(blob.digest)).st_size == blob.size  # noqa: PTH116
        except OSError:
            return False

    def sync(self) -> None:
        """Make the names of all blobs durable."""
        with store_errors(self.layout):
            sync_folder(self.layout.blobs)

    @contextmanager
    def open(self, blob: Descriptor) -> Iterator[Readable]:
        """Open *blob* for reading."""
        try:
            file = self.layout.blob(blob.digest).open("rb", buffering=0)
        except OSError as error:
            raise NotFoundError(
                f"blob {blob.digest} is not in the store: {error.strerror}",
                hint="pull or build the model again",
            ) from None
        with file:
            yield file

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Store *body* as *blob*, verified before it becomes visible."""
        reader = VerifyingReader(body, blob)
        with store_errors(self.layout), self._placing(blob.digest) as descriptor:
            while block := reader.read(limits.BLOCK):
                write_all(descriptor, block)
                advance(len(block))

    @contextmanager
    def _placing(self, digest: Digest) -> Iterator[int]:
        """Yield a file that becomes the blob *digest*, durable, if the block ends well."""
        descriptor, name = self._aside()
        try:
            try:
                yield descriptor
                os.fchmod(descriptor, 0o644)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            Path(name).replace(self.layout.blob(digest))
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def _aside(self) -> tuple[int, str]:
        """Make and open a file that nobody sees yet."""
        self._make_folders()
        return new_file(self.layout.ingest)

    def _make_folders(self) -> None:
        for folder in (self.layout.blobs, self.layout.ingest):
            if not folder.is_dir():
                folder.mkdir(parents=True, exist_ok=True)

    def gathering(self) -> Gathering:
        """Begin to take small blobs that come together."""
        with store_errors(self.layout):
            self._make_folders()
        return Gathering(self.layout)

    def add(self, data: bytes) -> Digest:
        """Store the small blob *data*, unless it is there and sound, and return its digest."""
        digest = Digest.of(data)
        if not (self.has(Descriptor("", digest, len(data))) and self._reads(digest, data)):
            with self.scratch() as scratch:
                scratch.path.write_bytes(data)
                scratch.commit(digest)
        return digest

    def _reads(self, digest: Digest, data: bytes) -> bool:
        try:
            return self.layout.blob(digest).read_bytes() == data
        except OSError:
            return False

    @contextmanager
    def scratch(self) -> Iterator[ScratchFile]:
        """Begin a blob whose digest is not known yet; it is gone at the end if not committed."""
        with store_errors(self.layout):
            descriptor, name = self._aside()
        os.close(descriptor)
        scratch = ScratchFile(Path(name), self.layout)
        try:
            with store_errors(self.layout):
                yield scratch
        finally:
            scratch.path.unlink(missing_ok=True)
