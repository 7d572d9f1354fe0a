"""The heads of answers, in the plainest form of HTTP/1.1. Pure: text in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

_STATUS = re.compile(r"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_DIGITS = 9
_MOST_DIGITS = 15
_CHALLENGE = "www-authenticate"
NO_BODY = (204, 304)
"""Statuses of answers that have none."""
END = b"\r\n\r\n"
"""What a head ends with."""


class LineError(ConnectionError):
    """A connection is of no use any more."""


class Headers(Mapping[str, str]):
    """Headers whose names are in lower case in *found*, and in any case for whoever asks."""

    def __init__(self, found: Mapping[str, str]) -> None:
        self._found = found

    def __getitem__(self, name: str) -> str:
        return self._found[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


def parse_head(text: str) -> tuple[int, dict[str, str]]:
    """Return the status and the headers, of which the first counts where a name comes twice.

    Challenges count all, since only some of them may be for us.

    Raises:
        LineError: this is not HTTP/1.1 in its plainest form.
    """
    first, *rest = text.split("\r\n")
    match = _STATUS.fullmatch(first)
    if match is None:
        raise LineError("the status line is odd")
    headers: dict[str, str] = {}
    for line in rest:
        name, colon, value = line.partition(":")
        name = name.lower()
        if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
            raise LineError("a header is odd")
        value = value.strip()
        before = headers.setdefault(name, value)
        if name == _CHALLENGE and before is not value:
            headers[name] = f"{before}, {value}"
        elif before != value and name == "content-length":
            raise LineError("there are two lengths")
    return int(match[1]), headers


def number_in(said: str) -> int | None:
    """Return the number that *said* is in plain digits, not too many of them, or None."""
    return int(said) if said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS else None


def length_of(headers: Mapping[str, str], most: int) -> int:
    """Return the length of the body that *headers* announce.

    Raises:
        LineError: they announce none, or more than *most*.
    """
    said = headers.get("content-length", "")
    digits = said.isascii() and said.isdigit() and len(said) <= max(_DIGITS, len(str(most)))
    if "transfer-encoding" in headers or not digits or int(said) > most:
        raise LineError("the body has no good length")
    return int(said)


def is_last(headers: Mapping[str, str]) -> bool:
    """Tell whether the server closes the connection after the answer with *headers*."""
    return "close" in headers.get("connection", "").lower()
