"""The reply as far as it came, and small steps of reading in it that wait for more.

Whoever reads is a generator: it yields when it has used up what is there and goes on when more
has come. All that is read is remembered until it is forgotten, so that it can be given back as
text. Nothing is looked at twice except what may be the beginning of a marker.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator
from typing import TypeAlias, TypeVar

from modelpack.template.replies import bounds

T = TypeVar("T")
Steps: TypeAlias = Generator[None, None, T]
"""Reading that may wait, and returns what it found."""

_SPACE = re.compile(r"\s*")
_WORD = re.compile(r"[\w.:/-]*")


class Tape:
    """Text that grows at its end and is read from its beginning."""

    def __init__(self) -> None:
        self.text = ""
        self.at = 0
        self.ended = False
        self.size = 0
        """Characters that are remembered."""
        self._read: list[str] = []
        self._gone = 0

    @property
    def position(self) -> int:
        """How many characters of the reply are read."""
        return self._gone + self.at

    @property
    def room(self) -> int:
        """How much more may be remembered before it counts as text."""
        return max(0, bounds.CALL - self.size)

    def add(self, text: str) -> None:
        """Append *text*."""
        self._gone += self.at
        self.text = self.text[self.at :] + text
        self.at = 0

    def advance(self, to: int) -> str:
        """Read up to the position *to*, and remember it."""
        read = self.text[self.at : to]
        self.at = to
        if read:
            self._read.append(read)
            self.size += len(read)
        return read

    def forget(self) -> None:
        """Have done with what was read."""
        self._read.clear()
        self.size = 0

    def give_back(self) -> str:
        """Return what was read and not forgotten, and forget it."""
        read = "".join(self._read)
        self.forget()
        return read


class Markers:
    """Texts to look for, of which none begins another."""

    def __init__(self, *markers: str) -> None:
        self.markers = markers
        self._pattern = re.compile("|".join(map(re.escape, markers)))
        self._firsts = frozenset(marker[0] for marker in markers)
        self._beginnings = frozenset(
            marker[:length] for marker in markers for length in range(1, len(marker))
        )
        self._longest = max(map(len, markers))

    def find(self, tape: Tape, room: int = sys.maxsize) -> tuple[int, str]:
        """Return where text ends and which marker follows; "" if none does yet.

        Where there is none in the next *room* characters, text goes further than those.
        """
        size = min(len(tape.text), tape.at + room + self._longest)
        found = self._pattern.search(tape.text, tape.at, size)
        if found:
            return found.start(), found[0]
        for start in range(max(tape.at, size - self._longest + 1), size):
            if tape.text[start] in self._firsts and tape.text[start:size] in self._beginnings:
                return start, ""
        return size, ""


def more(tape: Tape) -> Steps[bool]:
    """Wait for more; False at the end of the reply."""
    if tape.ended:
        return False
    yield
    return True


def space(tape: Tape) -> Steps[None]:
    """Read whitespace."""
    while True:
        found = _SPACE.match(tape.text, tape.at)
        tape.advance(found.end() if found else tape.at)
        if tape.at < len(tape.text) or not (yield from more(tape)):
            return


def word(tape: Tape) -> Steps[str]:
    """Read a name, which may be empty; at most as much as a name may have."""
    name = ""
    while True:
        found = _WORD.match(tape.text, tape.at, tape.at + bounds.NAME - len(name))
        name += tape.advance(found.end() if found else tape.at)
        if tape.at < len(tape.text) or not (yield from more(tape)):
            return name


def accept(tape: Tape, *literals: str) -> Steps[str]:
    """Read the one of *literals* that comes next and return it; "" and nothing read if none.

    None of them begins another.
    """
    while True:
        rest = tape.text[tape.at : tape.at + max(map(len, literals))]
        for literal in literals:
            if rest.startswith(literal):
                return tape.advance(tape.at + len(literal))
        unclear = any(literal.startswith(rest) for literal in literals)
        if not unclear or not (yield from more(tape)):
            return ""


def until(tape: Tape, markers: Markers, limit: int = bounds.CALL) -> Steps[tuple[str, str]]:
    """Read past the next marker; return what is before it, and the marker.

    The marker is "" where the reply ends, or there is none in the next *limit* characters.
    """
    pieces: list[str] = []
    while True:
        room = min(limit, tape.room)
        stop, marker = markers.find(tape, room)
        piece = tape.advance(min(stop, tape.at + room))
        pieces.append(piece)
        limit -= len(piece)
        if tape.at < stop:
            return "".join(pieces), ""
        if marker:
            return "".join(pieces), tape.advance(stop + len(marker))
        if not (yield from more(tape)):
            pieces.append(tape.advance(len(tape.text)))
            return "".join(pieces), ""


def tell_until(tape: Tape, markers: Markers, tell: Callable[[str], None]) -> Steps[str]:
    """Tell what comes, as it comes; return the marker behind it, or "" at the end.

    The marker alone is remembered.
    """
    while True:
        stop, marker = markers.find(tape)
        tell(tape.advance(stop))
        tape.forget()
        if marker:
            return tape.advance(stop + len(marker))
        if not (yield from more(tape)):
            tell(tape.advance(len(tape.text)))
            tape.forget()
            return ""
