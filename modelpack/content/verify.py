"""Read bytes that must be what a descriptor promises.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#verification
"""

from __future__ import annotations

import hashlib

from modelpack import limits
from modelpack.content.base import Readable, Seekable, Sent
from modelpack.errors import IntegrityError, LimitError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest


class VerifyingReader:
    """Pass a stream through; raise at its end if it was not the blob *expected*.

    The bytes handed out before the end are not trusted: commit only after `read` returned empty.
    """

    def __init__(self, body: Readable, expected: Descriptor, origin: str = "") -> None:
        self._body = body
        self._expected = expected
        self._origin = origin or origin_of(body)
        self._hash = hashlib.sha256()
        self._at = 0
        self._seen = 0

    def read(self, size: int = limits.BLOCK) -> bytes:
        """Return the next bytes.

        Raises:
            IntegrityError: the stream is longer or shorter than promised, or has another digest.
        """
        data = self._body.read(size)
        if data:
            self._at += len(data)
            if self._at > self._seen:
                self._hash.update(memoryview(data)[self._seen - self._at :])
                self._seen = self._at
            if self._at > self._expected.size:
                self._refuse(f"more than {self._expected.size:,} bytes")
            return data
        if self._at < self._expected.size:
            self._refuse(f"{self._at:,} bytes instead of {self._expected.size:,}")
        if self._hash.hexdigest() != self._expected.digest.hex:
            self._refuse(f"bytes with the digest sha256:{self._hash.hexdigest()[:12]}…")
        return data

    def seek(self, offset: int, /) -> int:
        """Go back to *offset*, to send again what follows; bytes are hashed the first time."""
        if offset > self._seen:
            raise RegistryError("a transfer cannot go on where nothing was read yet")
        self._at = seek_in(self._body, offset)
        return offset

    def _refuse(self, got: str) -> None:
        raise IntegrityError(
            f"{self._origin} sent {got} for {self._expected.digest}",
            hint="try again; if it stays so, the copy there is damaged",
        )


def seek_in(body: Readable, offset: int) -> int:
    """Go to the byte *offset* of *body*.

    Raises:
        RegistryError: it is a stream that comes only once.
    """
    if not isinstance(body, Seekable):
        raise RegistryError("the transfer was interrupted and cannot begin again")
    return body.seek(offset)


def origin_of(source: object) -> str:
    """Return who *source* says it is, for errors."""
    return source.origin if isinstance(source, Sent) else "the source"


def read_blob(body: Readable, expected: Descriptor, *, limit: int, origin: str) -> bytes:
    """Read a whole small blob, verified.

    Raises:
        LimitError: it is larger than *limit*.
        IntegrityError: it is not what *expected* promises.
    """
    if expected.size > limit:
        raise LimitError(f"{expected.digest} has {expected.size:,} bytes, more than {limit:,}")
    reader = VerifyingReader(body, expected, origin)
    blocks: list[bytes] = []
    while block := reader.read():
        blocks.append(block)
    return b"".join(blocks)


def check_manifest(raw: bytes, promised: Digest | None, origin: str) -> None:
    """Compare the digest of *raw* with the *promised* one, if any."""
    if promised is not None and Digest.of(raw) != promised:
        raise IntegrityError(
            f"{origin} sent a manifest with the digest {Digest.of(raw)}, not {promised}"
        )
