"""Which bytes of a big blob are there, and which are to be fetched next.

A blob is divided into parts of one size. Each part is filled from its beginning, so that one
number says how far it is, and the numbers of all parts are the journal. Pure: values in, values
out. A journal is a claim and no more; the digest of the whole blob decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NamedTuple

from modelpack import limits
from modelpack.oci.digest import Digest

_VERSION = 1


class Span(NamedTuple):
    """The bytes from *start* up to *stop* of a blob, which lie in the part *part*."""

    part: int
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class Ledger:
    """How much of each part is there."""

    size: int
    """Bytes of the blob."""
    part: int
    """Bytes of a part; the last one may be shorter."""
    done: tuple[int, ...]
    """Bytes that are there, for each part, from its beginning."""

    @classmethod
    def empty(cls, size: int, part: int = 0) -> Ledger:
        """Return the ledger of a blob of which nothing is there yet."""
        chosen = max(part or limits.RANGE_PART, -(-size // limits.RANGE_PARTS))
        return cls(size, chosen, (0,) * -(-size // chosen))

    @property
    def total(self) -> int:
        """Bytes that are there."""
        return sum(self.done)

    def span(self, part: int) -> Span:
        """Return all of the part *part*."""
        start = part * self.part
        return Span(part, start, min(start + self.part, self.size))

    def missing(self) -> list[Span]:
        """Return what is to be fetched, in the order of the blob: at most one span a part."""
        spans = map(self.span, range(len(self.done)))
        gaps = (
            span._replace(start=span.start + have)
            for span, have in zip(spans, self.done, strict=True)
        )
        return [gap for gap in gaps if gap.size]

    def prefix(self, part: int = 0) -> tuple[int, int]:
        """Return the first part that is not full, and how many bytes are there without a gap.

        The parts before *part* are known to be full.
        """
        while part < len(self.done) and self.done[part] == self.span(part).size:
            part += 1
        if part == len(self.done):
            return part, self.size
        return part, part * self.part + self.done[part]


def encode_journal(ledger: Ledger, digest: Digest) -> bytes:
    """Return *ledger*, which is about the blob *digest*, as it is written beside the blob."""
    value = {
        "version": _VERSION,
        "digest": str(digest),
        "size": ledger.size,
        "part": ledger.part,
        "done": ledger.done,
    }
    return json.dumps(value, separators=(",", ":")).encode()


def decode_journal(raw: bytes, digest: Digest, size: int) -> Ledger | None:
    """Return what *raw* says of the blob *digest* of *size* bytes, or None if that is nonsense."""
    if len(raw) > limits.JOURNAL:
        return None
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("version") != _VERSION:
        return None
    if value.get("digest") != str(digest) or value.get("size") != size:
        return None
    part, done = value.get("part"), value.get("done")
    if type(part) is not int or not limits.BLOCK <= part <= max(size, limits.RANGE_PART):
        return None
    if not isinstance(done, list) or not 0 < len(done) == -(-size // part) <= limits.RANGE_PARTS:
        return None
    ledger = Ledger(size, part, tuple(done))
    fits = (
        type(have) is int and 0 <= have <= ledger.span(number).size
        for number, have in enumerate(done)
    )
    return ledger if all(fits) else None
