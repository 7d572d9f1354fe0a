"""A blob's body, or a part of it, that goes on where the connection broke."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Self, TypeVar

from modelpack import limits
from modelpack.content.base import Readable
from modelpack.errors import IntegrityError, NetworkError, RegistryError
from modelpack.oci.descriptor import Descriptor
from modelpack.registry.exchange import Answer
from modelpack.registry.failures import network_errors
from modelpack.registry.heads import number_in
from modelpack.registry.patience import jitter
from modelpack.registry.retry import pause_after
from modelpack.registry.session import Ask, Session

_OK, _PARTIAL = 200, 206
_CONTENT_RANGE = r"\s*bytes\s+(\d{1,19})-(\d{1,19})/(\d{1,19}|\*)\s*"


T = TypeVar("T", bytes, int)


class Download:
    """The bytes of *blob* from *span* [0] up to *span* [1]; use it in `with`.

    Without *span* the whole blob is asked for, and what comes instead is for the reader to notice.
    """

    def __init__(
        self, session: Session, ask: Ask, blob: Descriptor, span: tuple[int, int] | None = None
    ) -> None:
        self.origin = session.host
        self.whole_only = False
        """The registry answered a request for a part with the whole blob."""
        self._session = session
        self._ask = ask
        self._blob = blob
        self._ranged = span is not None
        self._at, self._stop = span or (0, blob.size)
        self._attempt = 1
        self._failed_at = (time.monotonic(), self._at)
        self._window = (time.monotonic(), self._at)
        self._promised: int | None = None
        self._unwanted = 0
        """Bytes that come once more, before those that are missing."""
        self._lost = False
        """There is no answer to read from any more."""
        self._body: Answer | None = None
        self._held = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as held:
            held.callback(self._held.close)
            self._open()
            held.pop_all()
        return self

    def __exit__(self, *_error: object) -> None:
        self._held.close()

    def read(self, size: int = limits.BLOCK, /) -> bytes:
        """Return the next bytes, empty at the end.

        Raises:
            NetworkError: the connection broke, and going on did not help.
            RegistryError: the registry goes on with something else.
        """
        return self._next(lambda: self._read(size), len, b"")

    def readinto(self, room: memoryview, /) -> int:
        """Put the next bytes into *room*; return how many, 0 at the end. Raises as `read` does."""
        return self._next(lambda: self._pour(room), int, 0)

    def _next(self, get: Callable[[], T], count: Callable[[T], int], nothing: T) -> T:
        while True:
            try:
                if self._lost:
                    self._open()
                self._read_over()
                data = get()
            except NetworkError as error:
                if self._at >= self._stop:
                    return nothing  # only the end is missing, and the reader verifies
                self._reopen(error)
            else:
                self._at += count(data)
                if data and self._at < self._stop:
                    self._check_speed()
                return data

    def seek(self, offset: int, /) -> int:
        """Go to *offset*, with a new request unless that is where it is."""
        if offset != self._at:
            self._at = offset
            self._failed_at = self._window = (time.monotonic(), offset)
            self._open()
        return offset

    def _read(self, size: int) -> bytes:
        if self._body is None or (self._ranged and self._at >= self._stop):
            return b""
        with network_errors(self.origin):
            data = self._body.read(size)
        self._check_length(len(data))
        return data

    def _pour(self, room: memoryview) -> int:
        if self._body is None or (self._ranged and self._at >= self._stop):
            return 0
        with network_errors(self.origin):
            count = self._body.readinto(room)
        self._check_length(count)
        return count

    def _check_length(self, count: int) -> None:
        """Compare what came with what was promised and what was asked for."""
        if self._promised is not None:
            self._promised -= count
            if not count and self._promised > 0:
                raise NetworkError(
                    f"the connection to {self.origin} broke: {self._promised:,} bytes are missing",
                    hint="try again",
                )
        if self._ranged and self._at + count > self._stop:
            raise IntegrityError(f"{self.origin} sent more of {self._blob.digest} than was asked")

    def _check_speed(self) -> None:
        began, first = self._window
        now = time.monotonic()
        if now - began < limits.STALL_S:
            return
        if self._at - first < limits.STALL_BYTES:
            self._reopen(NetworkError(f"{self.origin} has all but stopped sending"))
        self._window = (now, self._at)

    def _reopen(self, error: NetworkError) -> None:
        """Go on with a new request, or raise *error*."""
        self._lost = True
        since, at = self._failed_at
        if self._at - at >= limits.RETRY_PROGRESS:
            self._attempt, since = 1, time.monotonic()
        self._failed_at = (since, self._at)
        pause = pause_after(self._attempt, time.monotonic() - since, jitter())
        if pause is None:
            raise error
        self._session.pause(pause)
        self._attempt += 1
        self._open()
        self._window = (time.monotonic(), self._at)

    def _open(self) -> None:
        self._held.close()
        self._lost = True
        ask = self._ask
        if self._ranged or self._at:
            ask = ask._replace(headers={"Range": f"bytes={self._at}-{self._stop - 1}"})
        response = self._held.enter_context(self._session.request(ask, _OK, _PARTIAL))
        self._check_plain(response)
        self._promised = number_in(response.headers.get("Content-Length", ""))
        self._body = response
        if response.status_code == _PARTIAL:
            self._check_range(response)
        elif self._ranged:
            self._no_ranges()
        self._unwanted = self._at if response.status_code == _OK and not self._ranged else 0
        self._lost = False

    def _no_ranges(self) -> None:
        began = self._failed_at[1]
        if self._attempt > 1 or began != self._at:
            raise RegistryError(f"{self.origin} gave ranges of {self._blob.digest}, then none")
        self.whole_only = True

    def _read_over(self) -> None:
        """Read over what came before: this registry begins again each time."""
        began, before = time.monotonic(), self._unwanted
        while self._unwanted:
            data = self._read(min(self._unwanted, limits.BLOCK))
            if not data:
                raise IntegrityError(f"{self.origin} sent less of {self._blob.digest} than before")
            self._unwanted -= len(data)
            if time.monotonic() - began >= limits.STALL_S:
                if before - self._unwanted < limits.STALL_BYTES:
                    raise NetworkError(f"{self.origin} has all but stopped sending")
                began, before = time.monotonic(), self._unwanted

    def _check_plain(self, response: Answer) -> None:
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":
            raise RegistryError(
                f"{self.origin} compressed {self._blob.digest} in transit ({encoding})"
            )

    def _check_range(self, response: Answer) -> None:
        said = response.headers.get("Content-Range", "")
        match = re.fullmatch(_CONTENT_RANGE, said)
        right = (
            match is not None
            and (int(match[1]), int(match[2]) + 1) == (self._at, self._stop)
            and match[3] in ("*", str(self._blob.size))
            and self._promised in (None, self._stop - self._at)
        )
        if not right or not (self._ranged or self._at):
            raise RegistryError(
                f"{self.origin} was asked for the bytes from {self._at} to {self._stop - 1} of "
                f"{self._blob.digest} ({self._blob.size:,} bytes), and sent {said[:80]!r}"
            )


def readable(download: Download) -> Readable | None:
    """Return *download*, or None where the registry has blobs only whole."""
    return None if download.whole_only else download
