"""How much one rendering of a template may make, and for how long: templates come from anywhere.

What counts is the memory of all texts and lists that are made on the way, whether they are kept or
not, so that none of them can be larger than that; and the processor's time, which is looked at
where a template can go round.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextvars import ContextVar

from modelpack import limits
from modelpack.errors import TemplateError

BYTES = 64 * limits.MiB
"""What may be made, besides some copies of the conversation."""
SECONDS = 5.0
_COPIES = 4
_EACH = 8
_CHARACTER = 64
"""Bytes of a reference, and of a text of one character."""
SMALL = 1024
"""Texts shorter than this are not counted one by one: nothing keeps many of them uncounted."""
_LARGE = 1 << 16
_LOOKS = 127
_MOST = BYTES // _CHARACTER


class Allowance:
    """What is left for one rendering, of a conversation of *given* characters; enter it to render.

    The objects *known* are as large as the request that they came with, so that they can be told
    without looking into them first.
    """

    __slots__ = ("_calls", "_known", "_token", "_until", "left")

    def __init__(self, given: int, known: Iterable[object] = ()) -> None:
        self.left = BYTES + _COPIES * min(given, limits.TEXT_LAYER)
        self._until = math.inf
        self._calls = 0
        self._known = set(map(id, known))

    def __enter__(self) -> None:
        self._token = _CURRENT.set(self)

    def __exit__(self, *_: object) -> None:
        _CURRENT.reset(self._token)

    def knows(self, value: object) -> bool:
        """Tell whether *value* was given, rather than made."""
        return id(value) in self._known

    def spend(self, amount: int) -> None:
        """Take *amount* bytes.

        Raises:
            TemplateError: there is not so much left, or no time.
        """
        self.left -= amount
        if self.left < 0:
            raise TemplateError(f"it makes more than {BYTES:,} bytes")
        self._calls += 1
        if amount > _LARGE or not self._calls & _LOOKS:
            self.look()

    def look(self) -> None:
        """Look at the clock; what never asks for that long needs none."""
        now = time.thread_time()
        if self._until == math.inf:
            self._until = now + SECONDS
        if now > self._until:
            raise TemplateError(f"it takes longer than {SECONDS:g} s")


_CURRENT: ContextVar[Allowance] = ContextVar("_CURRENT")
left = _CURRENT.get
"""What is left for the template that is being rendered; its functions are given no context."""


def spend(amount: int) -> None:
    """Take *amount* bytes; see `Allowance.spend`."""
    left().spend(amount)


def made(value: object) -> None:
    """Take what *value*, which was just made, needs."""
    if isinstance(value, str):
        if len(value) >= SMALL:
            left().spend(value.__sizeof__())
    elif isinstance(value, list | tuple | dict | set):
        left().spend(_EACH * (8 + len(value)))
    elif isinstance(value, int) and value.bit_length() > _LARGE:
        left().spend(BYTES)


def elements(value: object) -> None:
    """Take what a list of the elements of *value* needs."""
    if hasattr(value, "__len__"):
        spend((_CHARACTER if isinstance(value, str) else _EACH) * len(value))


def told(value: object, indent: int = 0, times: int = 1) -> None:
    """Take what *value* needs as a text, *times*; each level of it is indented by *indent*.

    What is in it twice is told twice, so this stops where there is nothing left.
    """
    current = left()
    if isinstance(value, str):
        current.spend(times * value.__sizeof__())
        return
    count, most = 0, current.left // max(1, times)
    level: list[object] = [value]
    depth = 0
    while level and count <= most:
        inner: list[object] = []
        for outer in level:
            count += _CHARACTER + depth + _around(outer, inner, depth, most)
            if len(inner) > _MOST:
                count = most + 1
            if count > most:
                break
        level, depth = inner, depth + indent
    current.spend(max(1, times) * count)


def _around(value: object, inner: list[object], depth: int, most: int) -> int:
    """Return what the texts in *value* need, to about *most*; the rest of it goes to *inner*."""
    items: Iterable[object] = ()
    count = 0
    if isinstance(value, dict):
        count = 8 + sum(map(_length, value))
        items = value.values()
    elif isinstance(value, _PRINTED):
        items = value  # type: ignore[assignment]
    for item in items:
        if item.__class__ is str:
            count += 16 + depth + len(item)
            if count > most:
                break
        else:
            inner.append(item)
    return count


_PRINTED: tuple[type, ...] = (
    *(list, tuple, set),
    *(type({}.keys()), type({}.values()), type({}.items())),
)


def _length(value: object) -> int:
    return 8 + len(value) if isinstance(value, str) else 64
