"""Reads the fields of a request's JSON, one by one, and says which of them is wrong."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from modelpack.errors import InputError

Json: TypeAlias = Mapping[str, object]

_NESTING = frozenset((dict, list))
_DEPTH = 100
"""Objects and lists in one another: far from where what walks through them gives up."""


class Fields:
    """The fields of one JSON object; `null` counts as not given."""

    def __init__(self, value: Json, where: str = "") -> None:
        self.value = value
        self._where = where

    def __contains__(self, name: str) -> bool:
        return self.value.get(name) is not None

    def get(self, name: str) -> object:
        """Return the field as it is, or None."""
        return self.value.get(name)

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self.bad(name, "a string")
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.value.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.bad(name, "true or false")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        """Return a whole number between *least* and *most*."""
        value = self.value.get(name)
        if value is None:
            return default
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if not whole or isinstance(value, bool):
            raise self.bad(name, "a whole number")
        number = int(value)  # type: ignore[call-overload]
        if not least <= number <= most:
            raise self.bad(name, f"between {least:,} and {most:,}")
        return int(number)

    def number(self, name: str) -> float | None:
        """Return a finite number, or None where none is given."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(name, "a number")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise self.bad(name, "a finite number")
        return number

    def nested(self, name: str) -> Fields | None:
        """Return the fields of an object, or None where there is none."""
        value = self.value.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        return Fields(value, self.path(name))

    def items(self, name: str) -> list[object]:
        """Return a list; an empty one where none is given."""
        value = self.value.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.bad(name, "a list")
        return value

    def objects(self, name: str) -> Iterator[Fields]:
        """Yield the fields of each object of a list."""
        for index, item in enumerate(self.items(name)):
            if not isinstance(item, dict):
                raise self.bad(f"{name}[{index}]", "an object")
            yield Fields(item, self.path(f"{name}[{index}]"))

    def texts(self, name: str) -> list[str]:
        """Return a list of strings; a single one counts as a list of it."""
        value = self.value.get(name)
        if isinstance(value, str):
            return [value]
        texts: list[str] = []
        for item in self.items(name):
            if not isinstance(item, str):
                raise self.bad(name, "a string or a list of strings")
            texts.append(item)
        return texts

    def images(self, name: str) -> tuple[bytes, ...]:
        """Return a list of files, each in base64, perhaps as a data URI."""
        return tuple(self.file(name, text) for text in self.texts(name))

    def file(self, name: str, text: str) -> bytes:
        """Return the bytes that *text*, base64 or a data URI of the field *name*, stands for."""
        if text.startswith("data:"):
            text = text.partition(",")[2]
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            raise self.bad(name, "base64") from None

    def bad(self, name: str, wanted: str) -> InputError:
        """Return the error for the field *name*, which must be *wanted*."""
        return InputError(f"{self.path(name)} must be {wanted}")

    def path(self, name: str) -> str:
        """Return what the field *name* is called in errors."""
        return f"{self._where}.{name}" if self._where else name


def parse_body(body: bytes) -> Fields:
    """Return the fields of a request's body.

    Raises:
        InputError: it is empty, is not JSON, is nested too deep, or is no object.
    """
    if not body or body.isspace():
        raise InputError("missing request body")
    value = parse_json(body, "the request body")
    if not isinstance(value, dict):
        raise InputError("the request body must be a JSON object")
    return Fields(value)


def parse_json(text: str | bytes, what: str) -> object:
    """Return the value that *text* is in JSON; *what* is what it is called.

    Raises:
        InputError: it is not JSON, or is nested too deep.
    """
    try:
        value: object = json.loads(text)
    except RecursionError:
        raise _too_deep(what) from None
    except ValueError as error:
        raise InputError(f"{what} is not JSON: {error}") from None
    level = [value] if type(value) in _NESTING else []
    for _ in range(_DEPTH):
        level = [
            item
            for outer in level
            for item in (outer.values() if type(outer) is dict else outer)  # type: ignore[attr-defined]
            if type(item) in _NESTING
        ]
        if not level:
            return value
    raise _too_deep(what)


def _too_deep(what: str) -> InputError:
    return InputError(f"{what} is nested more than {_DEPTH} deep")
