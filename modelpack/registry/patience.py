"""Sends a request again where that is worth it; `retry` decides, this waits."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from itertools import count
from typing import Protocol, TypeAlias, TypeVar

from modelpack.errors import NetworkError
from modelpack.registry.retry import TEMPORARY, parse_retry_after, pause_after

Wait: TypeAlias = Callable[[float], object]
"""Waits that many seconds."""


def jitter() -> float:
    """Return a random number from 0 to 1, so that many clients do not come back at once."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


class Reply(Protocol):
    """What is looked at of an answer."""

    status_code: int

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""
        ...

    def close(self) -> None:
        """Read no more of it."""
        ...


R = TypeVar("R", bound=Reply)


class Patience:
    """How long one session with *host* goes on; threads may share it."""

    def __init__(
        self, host: str, errors: Callable[[str], AbstractContextManager[None]], wait: Wait | None
    ) -> None:
        self._host = host
        self._errors = errors
        self._over = threading.Event()
        self._wait = wait or self._over.wait
        self._answered = False

    @property
    def is_over(self) -> bool:
        """Whether nothing is sent any more."""
        return self._over.is_set()

    def end(self) -> None:
        """Wait for nothing any more, and send nothing."""
        self._over.set()

    def pause(self, seconds: float) -> None:
        """Wait before something is tried again."""
        self._wait(seconds)

    def send(self, send: Callable[[], R], *, repeat: bool) -> R:
        """Call *send*, and again where that may *repeat*, until there is an answer to keep.

        A registry that has never answered is not asked again: the name may be wrong.

        Raises:
            NetworkError: there is no answer.
        """
        began = time.monotonic()
        for attempt in count(1):
            answer, failure = self._once(send)
            if not repeat or not _is_temporary(answer):
                break
            if failure is not None and not self._answered:
                break
            asked = None if answer is None else answer.headers.get("Retry-After", "")
            pause = pause_after(
                attempt,
                time.monotonic() - began,
                jitter(),
                parse_retry_after(asked or "", time.time()),
            )
            if pause is None:
                break
            if answer is not None:
                answer.close()
            self.pause(pause)
        if failure is not None:
            raise failure
        assert answer is not None  # noqa: S101 - one of the two is there
        return answer

    def _once(self, send: Callable[[], R]) -> tuple[R | None, NetworkError | None]:
        if self.is_over:
            raise NetworkError(f"nothing more is asked of {self._host}")
        try:
            with self._errors(self._host):
                answer = send()
        except NetworkError as error:
            return None, error
        self._answered = True
        return answer, None


def _is_temporary(answer: Reply | None) -> bool:
    return answer is None or answer.status_code in TEMPORARY
