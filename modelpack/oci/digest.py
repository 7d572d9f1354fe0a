"""Names for content: ``sha256:<hex>``.

A `Digest` that exists is well formed, so nothing downstream checks it again. Opening files and
sockets is not done here.

See: https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md#digests
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

from modelpack.errors import DigestError

_HEX = frozenset("0123456789abcdef")
_LENGTH = 64


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest. Build one with `parse` or `of`."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the digest written in *text*.

        Raises:
            DigestError: *text* is not `sha256:` and 64 lower-case hexadecimal digits.
        """
        algorithm, colon, digits = text.partition(":")
        if not colon or algorithm != "sha256":
            raise DigestError(
                f"not a digest we accept: {text[:100]!r}",
                hint="expected sha256: and 64 lower-case hexadecimal digits",
            )
        if len(digits) != _LENGTH or not _HEX.issuperset(digits):
            raise DigestError(
                f"not a sha256 digest: {text[:100]!r}",
                hint="expected 64 lower-case hexadecimal digits after sha256:",
            )
        return cls(digits)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Return the digest of *data*."""
        return cls(hashlib.sha256(data).hexdigest())

    @property
    def short(self) -> str:
        """The first twelve digits, as people quote them."""
        return self.hex[:12]

    def __str__(self) -> str:
        return f"sha256:{self.hex}"
