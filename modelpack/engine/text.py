"""Bytes of tokens to text that may be shown: whole characters, and nothing of a stop string.

A token may hold part of a character, and a stop string may begin in one token and end in another.
What could still become either is held back; everything else is given out at once. The work for a
token depends on the token, not on the answer so far.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


_Decoder = codecs.getincrementaldecoder("utf-8")


class TextStream:
    """Turns one answer's token bytes into text, up to a stop string."""

    def __init__(self, stops: Iterable[str] = ()) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._decoder = _Decoder(errors="replace")
        self._held = ""
        self._torn = False
        """Whether the last bytes were part of a character."""
        self.stop = ""
        """The stop string that came; nothing is given out after it."""
        self.decoded = 0
        """Characters that were understood so far."""
        self.given = 0
        """Characters that were given out so far."""

    @property
    def stopped(self) -> bool:
        """Whether a stop string came."""
        return bool(self.stop)

    def feed(self, data: bytes) -> str:
        """Return the text that *data* makes certain, perhaps none."""
        if self.stop:
            return ""
        if not self._torn:
            try:
                return self._give(data.decode())
            except UnicodeDecodeError:  # the rest may follow
                pass
        text = self._decoder.decode(data)
        self._torn = bool(self._decoder.getstate()[0])
        return self._give(text)

    def finish(self) -> str:
        """Return what was held back; a character that never became whole is replaced."""
        if self.stop:
            return ""
        text = self._give(self._decoder.decode(b"", final=True))
        held, self._held = self._held, ""
        self.given += len(held)
        return text + held

    def _give(self, new: str) -> str:
        self.decoded += len(new)
        text = self._cut(self._held + new) if self._stops else new
        self.given += len(text)
        return text

    def _cut(self, text: str) -> str:
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.stop = min(found)
            self._held = ""
            return text[:at]
        keep = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """Return how many characters at the end of *text* could be the beginning of *stop*."""
    at = text.find(stop[0], max(0, len(text) - len(stop) + 1))
    while at >= 0 and not stop.startswith(text[at:]):
        at = text.find(stop[0], at + 1)
    return len(text) - at if at >= 0 else 0
