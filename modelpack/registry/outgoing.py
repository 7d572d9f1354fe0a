"""The bytes of a blob that goes out: any part of it, and again where that is needed."""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterator

from modelpack import limits
from modelpack.content.base import Advance, Readable
from modelpack.content.verify import seek_in
from modelpack.errors import IntegrityError
from modelpack.oci.descriptor import Descriptor
from modelpack.registry.wire import FilePart, Piece


class Outgoing:
    """*body*, which should be *blob*; *advance* hears of each byte once, however often it goes."""

    def __init__(self, body: Readable, blob: Descriptor, advance: Advance, told: int = 0) -> None:
        self._body = body
        self._blob = blob
        self._advance = advance
        self._told = told
        self._at = 0
        if isinstance(body, io.FileIO) and os.fstat(body.fileno()).st_size != blob.size:
            raise self._damaged(os.fstat(body.fileno()).st_size)

    def pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the bytes from *start* up to *stop*."""
        inner = (
            self._of_file(self._body.fileno(), start, stop)
            if isinstance(self._body, io.FileIO)
            else self._of_stream(start, stop)
        )
        for piece, end in inner:
            yield piece
            if end > self._told:
                told, self._told = self._told, end
                self._advance(end - told)

    def _of_file(self, descriptor: int, start: int, stop: int) -> Iterator[tuple[Piece, int]]:
        """Yield pieces that are the larger the faster they go: each costs a piece of news."""
        at, size = start, limits.SENT_PIECE
        while at < stop:
            end = min(at + size, stop)
            began = time.monotonic()
            yield FilePart(descriptor, at, end), end
            quick = time.monotonic() - began < limits.SENT_PIECE_S
            at, size = end, min(2 * size, limits.SENT_PIECES) if quick else limits.SENT_PIECE

    def _of_stream(self, start: int, stop: int) -> Iterator[tuple[Piece, int]]:
        if self._at != start:
            self._at = seek_in(self._body, start)
        while self._at < stop:
            data = self._body.read(min(limits.BLOCK, stop - self._at))
            if not data:
                raise self._damaged(self._at)
            self._at += len(data)
            yield data, self._at
        if stop == self._blob.size and self._body.read(1):
            raise self._damaged(stop + 1)

    def _damaged(self, size: int) -> IntegrityError:
        return IntegrityError(
            f"blob {self._blob.digest} has {size:,} bytes, not {self._blob.size:,}",
            hint="where it comes from is damaged; build or pull the model again",
        )
