"""Reads the fields of a request's JSON, one by one, and says which of them is wrong."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from modelpack.errors import InputError

Json: TypeAlias = Mapping[str, object]


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
        """Return a number, or None where none is given."""
        value = self.value.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.bad(name, "a number")
        return float(value)

    def nested(self, name: str) -> Fields | None:
        """Return the fields of an object, or None where there is none."""
        value = self.value.get(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.bad(name, "an object")
        return Fields(value, self._path(name))

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
            yield Fields(item, self._path(f"{name}[{index}]"))

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
        return InputError(f"{self._path(name)} must be {wanted}")

    def _path(self, name: str) -> str:
        return f"{self._where}.{name}" if self._where else name


def parse_body(body: bytes) -> Fields:
    """Return the fields of a request's body.

    Raises:
        InputError: it is empty, is not JSON, or is no object.
    """
    if not body.strip():
        raise InputError("missing request body")
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the request body is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise InputError("the request body must be a JSON object")
    return Fields(value)
