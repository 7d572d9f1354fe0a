"""A folder in OCI image layout as a place to copy from and to.

A blob appears by rename, after it was verified; `index.json` is replaced last, under a lock.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from modelpack import limits
from modelpack.content.base import Advance, Readable
from modelpack.content.disk import replacing
from modelpack.content.layout_index import (
    BLOBS,
    INDEX,
    MARKER,
    MARKER_BYTES,
    LayoutIndex,
    blob_name,
)
from modelpack.content.layout_source import LayoutSource
from modelpack.content.verify import VerifyingReader
from modelpack.errors import InputError, IntegrityError, LimitError, NotFoundError, StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """The files below the folder *root*."""

    root: Path

    def read(self, name: str, limit: int) -> bytes:
        """Return the whole of a small file."""
        with self.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise LimitError(f"{self.root / name} is larger than {limit:,} bytes")
        return data

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open a file for reading."""
        try:
            descriptor = os.open(self.root / name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            raise NotFoundError(f"{self.root} has no {name}") from None
        except OSError as error:
            raise StoreError(f"cannot read {self.root / name}: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise InputError(f"{self.root / name} is not a file")
            yield file


class FolderLayout(LayoutSource):
    """The OCI image layout in the folder *root*, which must be one; see `create`."""

    def __init__(self, root: Path) -> None:
        super().__init__(FolderFiles(root), str(root))
        self.root = root

    @classmethod
    def create(cls, root: Path) -> FolderLayout:
        """Return the layout in *root*, begun where there is nothing yet.

        Raises:
            InputError: *root* is something else.
            StoreError: it cannot be written.
        """
        if not (root / MARKER).is_file():
            if root.exists() and (not root.is_dir() or any(root.iterdir())):
                raise InputError(
                    f"{root} is there, and is not an OCI image layout",
                    hint="name a new folder, an empty one, or a layout to add to",
                )
            with _write_errors(root):
                (root / BLOBS).mkdir(parents=True, exist_ok=True)
            _write(root, INDEX, LayoutIndex.empty().encode())
            _write(root, MARKER, MARKER_BYTES)
        return cls(root)

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is there with the size it should have."""
        try:
            return (self.root / blob_name(blob.digest)).stat().st_size == blob.size
        except OSError:
            return False

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Store *body* as *blob*, verified before it becomes visible."""
        reader = VerifyingReader(body, blob)
        with _placing(self.root, blob_name(blob.digest)) as file:
            while block := reader.read(limits.BLOCK):
                with _write_errors(self.root):
                    file.write(block)
                advance(len(block))

    def name(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*, all of whose blobs must be here."""
        for blob in manifest.blobs:
            if not self.has(blob):
                raise IntegrityError(f"blob {blob.digest} of {reference} is not in {self.root}")
        _write(self.root, blob_name(manifest.digest), manifest.raw)
        with self._alone():
            index = self.index().adding(
                manifest.descriptor, reference.name if reference.tag else ""
            )
            _write(self.root, INDEX, index.encode())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep others from changing the index between our reading and writing it."""
        with _write_errors(self.root):
            descriptor = os.open(self.root / MARKER, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with _write_errors(self.root):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _write(root: Path, name: str, data: bytes) -> None:
    with _placing(root, name) as file, _write_errors(root):
        file.write(data)


@contextmanager
def _placing(root: Path, name: str) -> Iterator[BinaryIO]:
    """Yield the file *name*, which appears when it is complete and durable."""
    final = root / name
    with _write_errors(root):
        final.parent.mkdir(parents=True, exist_ok=True)
    with replacing(final, aside=root, errors=partial(_write_errors, root)) as file:
        yield file


@contextmanager
def _write_errors(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write to {root}: {error.strerror or error}") from None
