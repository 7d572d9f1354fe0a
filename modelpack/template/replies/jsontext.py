"""JSON in a reply: finding its end while it comes, and reading it without surprises."""

from __future__ import annotations

import json
import math
import re

from modelpack.template.replies import bounds
from modelpack.template.replies.tape import Steps, Tape, more

_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["\[\]{}]')
_BETWEEN = re.compile(r"[\s,:0-9eE+.truefalsn-]*")
_CLOSING = {"{": "}", "[": "]"}
_SURROGATES = re.compile("[\ud800-\udfff]")
_FIRST_KEY = re.compile(r'[\[\s]*\{\s*"([^"\\]*)"')
_HEAD = 128


class Scanner:
    """Finds the end of a list or an object, piece by piece."""

    def __init__(self) -> None:
        self.failed = False
        self._closers: list[str] = []
        self._string = False
        self._escaped = False

    @property
    def done(self) -> bool:
        """Whether all that was opened is closed; true before the beginning."""
        return not self._closers and not self._string

    def scan(self, text: str, at: int, end: int) -> int:
        """Return how far of *text*, from *at* to *end*, the value goes, or what is none can."""
        while at < end:
            if self._escaped:
                at += 1
                self._escaped = False
                continue
            found = (_IN_STRING if self._string else _OUTSIDE).search(text, at, end)
            stop = found.start() if found else end
            if not self._string and (wrong := _wrong(text, at, stop)) < stop:
                self.failed = True
                return wrong
            if found is None:
                return stop
            at = found.end()
            self._turn(found[0])
            if self.failed or self.done:
                return at
        return at

    def _turn(self, character: str) -> None:
        if character == "\\":
            self._escaped = True
        elif character == '"':
            self._string = not self._string
        elif character in _CLOSING:
            self._closers.append(_CLOSING[character])
            self.failed = len(self._closers) > bounds.NESTING
        else:
            self.failed = self._closers.pop() != character


def _wrong(text: str, at: int, stop: int) -> int:
    """Return the first place where there is something that no JSON has outside strings."""
    found = _BETWEEN.match(text, at, stop)
    return found.end() if found else at


def json_text(tape: Tape, first_keys: frozenset[str] = frozenset()) -> Steps[str]:
    """Read the list or object that begins here and return its text; "" if it is none.

    With *first_keys*, it must begin with an object that begins with one of those.
    """
    while tape.at == len(tape.text):
        if not (yield from more(tape)):
            return ""
    if tape.text[tape.at] not in _CLOSING:
        return ""
    scanner = Scanner()
    pieces: list[str] = []
    head = ""
    while tape.room:
        if first_keys and len(head) < _HEAD:
            head = (head + tape.text[tape.at : tape.at + _HEAD])[:_HEAD]
            if not _begins(head, first_keys):
                return ""
        stop = min(len(tape.text), tape.at + tape.room)
        pieces.append(tape.advance(scanner.scan(tape.text, tape.at, stop)))
        if scanner.failed:
            return ""
        if scanner.done:
            return "".join(pieces)
        if tape.at == len(tape.text) and not (yield from more(tape)):
            return ""
    return ""


def _begins(head: str, first_keys: frozenset[str]) -> bool:
    found = _FIRST_KEY.match(head)
    return found[1] in first_keys if found else len(head) < _HEAD


def loads(text: str) -> object:
    """Return the value of *text*, in which strings may have line ends and control characters.

    Halves of surrogate pairs become U+FFFD.

    Raises:
        ValueError: *text* is no JSON, too deep, or has a number that is none.
    """
    try:
        value = json.loads(text, strict=False, parse_constant=_refuse, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    return _clean(value, 0)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large")
    return number


def _clean(value: object, depth: int) -> object:
    if depth > bounds.NESTING:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, list):
        return [_clean(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {clean(key): _clean(item, depth + 1) for key, item in value.items()}
    return value


def clean(text: str) -> str:
    """Return *text* as something that UTF-8 can hold."""
    return _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", text)
