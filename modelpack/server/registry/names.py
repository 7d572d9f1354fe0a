"""Names that arrive in URLs: repositories, tags, digests and uploads.

Nothing from a request becomes part of a path on disk unless it went through here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Protocol, Self

from modelpack import limits
from modelpack.server.registry import errors

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_UPLOAD = re.compile(r"[0-9a-f]{64}\Z")
_HEX = frozenset("0123456789abcdef")
_LENGTHS = {"sha256": 64, "sha512": 128}
CANONICAL = "sha256"
"""The algorithm of everything that is not said to have another."""


class Hasher(Protocol):
    """A running digest, as `hashlib` makes them."""

    def update(self, data: bytes, /) -> None:
        """Take in *data*."""

    def hexdigest(self) -> str:
        """Return the digest of all that was taken in."""


@dataclass(frozen=True, slots=True, order=True)
class ContentDigest:
    """A sha256 or sha512 digest. Build one with `parse` or `of`."""

    algorithm: str
    hex: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the digest written in *text*, or refuse the request."""
        algorithm, _, digits = text.partition(":")
        if len(digits) != _LENGTHS.get(algorithm) or not _HEX.issuperset(digits):
            raise errors.digest_invalid(text)
        return cls(algorithm, digits)

    @classmethod
    def of(cls, data: bytes, algorithm: str = CANONICAL) -> Self:
        """Return the digest of *data*."""
        return cls(algorithm, hashlib.new(algorithm, data).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


def new_hasher(algorithm: str) -> Hasher:
    """Return an empty running digest; *algorithm* is sha256 or sha512, others are refused."""
    if algorithm not in _LENGTHS:
        raise errors.digest_invalid(algorithm, "not a digest algorithm we accept")
    return hashlib.new(algorithm)


def check_repository(text: str) -> str:
    """Return *text* if it can name a repository, or refuse the request."""
    if len(text) > limits.REFERENCE or not _REPOSITORY.match(text):
        raise errors.name_invalid(text)
    return text


def check_tag(text: str) -> str:
    """Return *text* if it is a tag, or refuse the request."""
    if not _TAG.match(text):
        raise errors.RefusedError(400, "TAG_INVALID", f"not a tag: {text[:150]!r}")
    return text


def check_upload(text: str) -> str:
    """Return *text* if it looks like the name of an upload, or refuse the request."""
    if not _UPLOAD.match(text):
        raise errors.upload_unknown()
    return text


def parse_reference(text: str) -> str | ContentDigest:
    """Return the digest (anything with a colon) or tag that *text* says, or refuse the request."""
    return ContentDigest.parse(text) if ":" in text else check_tag(text)
