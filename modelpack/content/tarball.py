"""An OCI image layout as one tar: written as a stream, read where it lies.

What is written depends on nothing but the models in it and their order: fixed owner, time and
mode, blobs in the order of the manifests, `index.json` last, so that a tar cut short names nothing.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
"""

from __future__ import annotations

import os
import stat
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Self

from modelpack import limits
from modelpack.content.base import Advance, Readable
from modelpack.content.layout_index import (
    BLOBS,
    INDEX,
    MARKER,
    MARKER_BYTES,
    LayoutIndex,
    blob_name,
)
from modelpack.content.layout_source import LayoutSource
from modelpack.content.referrers import chosen
from modelpack.content.tar_members import BLOCK, Member, read_members
from modelpack.content.verify import VerifyingReader
from modelpack.errors import InputError, IntegrityError, LimitError, NotFoundError, StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference


class TarFiles:
    """The files of the tar that is open as *descriptor* and called *where* in errors; close it."""

    def __init__(self, descriptor: int, where: str) -> None:
        self._descriptor = descriptor
        self._where = where
        try:
            _check_plain(descriptor, where)
            self._members = read_members(descriptor, where)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open_path(cls, path: Path) -> Self:
        """Open the tar *path*."""
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise NotFoundError(f"cannot read {path}: {error.strerror}") from None
        return cls(descriptor, str(path))

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def read(self, name: str, limit: int) -> bytes:
        """Return the whole of a small member."""
        member = self._member(name)
        if member.size > limit:
            raise LimitError(f"{name} in {self._where} is larger than {limit:,} bytes")
        return os.pread(self._descriptor, member.size, member.offset)

    @contextmanager
    def open(self, name: str) -> Iterator[Readable]:
        """Open a member for reading; threads do not disturb each other."""
        yield _Part(self._descriptor, self._member(name))

    def _member(self, name: str) -> Member:
        member = self._members.get(name)
        if member is None:
            raise NotFoundError(f"{self._where} has no {name}")
        return member


class _Part:
    """The bytes of one member as a stream with a position of its own."""

    def __init__(self, descriptor: int, member: Member) -> None:
        self._descriptor = descriptor
        self._member = member
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        left = self._member.size - self._at
        wanted = left if size < 0 else min(size, left)
        data = os.pread(self._descriptor, wanted, self._member.offset + self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, /) -> int:
        """Go to *offset*, for an upload that begins again."""
        self._at = max(0, min(offset, self._member.size))
        return self._at


class TarLayout(LayoutSource):
    """The OCI image layout in a tar, its path or an open file; close it, or use it in `with`."""

    def __init__(self, tar: Path | BinaryIO, where: str = "") -> None:
        self._tar = (
            TarFiles.open_path(tar)
            if isinstance(tar, Path)
            else TarFiles(os.dup(tar.fileno()), where)
        )
        try:
            super().__init__(self._tar, where or str(tar))
        except BaseException:
            self._tar.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._tar.close()


class TarWriter:
    """A tar on its way out, as a place to copy to; blobs come one at a time, `finish` ends it."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._written: set[str] = set()
        self._index = LayoutIndex.empty()
        self._subjects: dict[Digest, list[Descriptor]] = {}
        self._file(MARKER, MARKER_BYTES)
        for folder in reversed([PurePosixPath(BLOBS), *PurePosixPath(BLOBS).parents[:-1]]):
            self._header(f"{folder}/", 0, tarfile.DIRTYPE)

    def has(self, blob: Descriptor) -> bool:
        """Tell whether *blob* is in the tar already."""
        with self._lock:
            return blob_name(blob.digest) in self._written

    def put(self, blob: Descriptor, body: Readable, advance: Advance) -> None:
        """Write *body* as *blob*; a tar in which it is something else is never finished."""
        reader = VerifyingReader(body, blob)
        with self._lock:
            self._header(blob_name(blob.digest), blob.size)
            while block := reader.read(limits.BLOCK):
                self._write(block)
                advance(len(block))
            self._write(bytes(-blob.size % BLOCK))
            self._written.add(blob_name(blob.digest))

    def name(self, reference: Reference, manifest: Manifest) -> None:
        """Let *reference* name *manifest*, all of whose blobs are in the tar."""
        for blob in manifest.blobs:
            if not self.has(blob):
                raise IntegrityError(f"blob {blob.digest} of {reference} is not in the tar")
        with self._lock:
            if blob_name(manifest.digest) not in self._written:
                self._file(blob_name(manifest.digest), manifest.raw)
            name = reference.name if reference.tag else ""
            self._index = self._index.adding(manifest.descriptor, name)
            if manifest.subject:
                about = self._subjects.setdefault(manifest.subject.digest, [])
                about.append(manifest.descriptor)

    def referrers(self, subject: Digest, artifact_type: str = "") -> tuple[Descriptor, ...]:
        """Return the manifests in the tar whose subject is *subject*."""
        return chosen(self._subjects.get(subject, ()), artifact_type)

    def finish(self) -> None:
        """Write what makes it a layout; without it, it names nothing."""
        with self._lock:
            self._file(INDEX, self._index.encode())
            self._write(bytes(2 * BLOCK))
            try:
                self._out.flush()
            except OSError as error:
                raise _unwritable(error) from None

    def _file(self, name: str, data: bytes) -> None:
        self._header(name, len(data))
        self._write(data + bytes(-len(data) % BLOCK))
        self._written.add(name)

    def _header(self, name: str, size: int, kind: bytes = tarfile.REGTYPE) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.type = size, kind
        info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
        self._write(info.tobuf(tarfile.GNU_FORMAT))

    def _write(self, data: bytes) -> None:
        try:
            view = memoryview(data)
            while view:
                view = view[self._out.write(view) :]
        except OSError as error:
            raise _unwritable(error) from None


def _check_plain(descriptor: int, where: str) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise InputError(f"{where} is not a file")


def _unwritable(error: OSError) -> StoreError:
    return StoreError(f"cannot write the tar: {error.strerror or error}")
