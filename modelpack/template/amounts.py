"""What the functions of Jinja templates are about to make, taken from the allowance beforehand.

Each function here stands for a filter, or a method of texts, that makes more of little; it is given
what that is given. What makes no more than it gets is counted afterwards.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from modelpack.errors import TemplateError
from modelpack.template.allowance import SMALL, elements, left, made, spend, told

_BITS = 4096
_DIGITS = 4300
_PRECISION = 300
_SLOW = 64
"""As if a text were made so many times, where a function is that much slower than others."""
_LINE_ENDS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_PIECE = 64
"""Bytes of a text of some characters, in a list."""
_REFERENCE = 8
_WIDE = re.compile(r"%(?:\(.*?\)+)?[-#0 +]*(?:[0-9]{5}|\*|[0-9]*\.(?:[0-9]{5}|\*))", re.DOTALL)
_WIDE_FIELD = re.compile(r"\{[^{}]*[0-9]{5}|\{[^{}]*\{")

Taking = Callable[..., object]

REFUSED_METHODS = frozenset(
    (
        *("encode", "translate", "maketrans", "striptags"),
        *("to_bytes", "from_bytes", "fromhex", "fromkeys"),
    )
)
"""Methods that no prompt needs, and that make much of little."""
REFUSED_FILTERS = ("pprint", "striptags", "urlize", "xmlattr")
FREE_FILTERS = frozenset(
    ("abs", "attr", "count", "d", "default", "first", "float", "last", "length", "random")
)
"""Filters that make nothing."""


def power(left: object, right: object) -> object:
    """Raise one number to the power of another."""
    if not isinstance(left, int | float) or not isinstance(right, int | float):
        raise TypeError("only a number has a power")
    if isinstance(left, int) and abs(right) * left.bit_length() > _BITS:
        raise TemplateError("the result of ** is too large")
    return left**right


def product(left: object, right: object) -> object:
    """Multiply two numbers, or repeat a text or a list."""
    for times, what in ((left, right), (right, left)):
        if isinstance(times, int) and isinstance(what, str | list | tuple):
            each = _REFERENCE if not isinstance(what, str) else 1 if what.isascii() else 4
            spend(max(0, times) * len(what) * each)
    whole = isinstance(left, int) and isinstance(right, int)
    if whole and left.bit_length() + right.bit_length() > _BITS:  # type: ignore[attr-defined]
        raise TemplateError("the result of * is too large")
    return left * right  # type: ignore[operator]


def rest(left: object, right: object) -> object:
    """Return what a division leaves, or format a text."""
    if isinstance(left, str):
        formatted(left, *(right if isinstance(right, tuple) else (right,)))
    return left % right  # type: ignore[operator]


def added(values: tuple[object, ...]) -> object:
    """Return the sum of *values*, which are mostly texts."""
    rest = iter(values)
    value = next(rest)
    for item in rest:
        if value.__class__ is not str or len(value) >= SMALL:
            made(value)
        value = value + item  # type: ignore[operator]
    made(value)
    return value


def joined(values: tuple[object, ...]) -> str:
    """Return *values* as one text, as `~` does."""
    try:
        size = sum(map(len, values))  # type: ignore[arg-type]
        if size >= SMALL:
            spend(sum(map(sys.getsizeof, values)))
        return "".join(values)  # type: ignore[arg-type]
    except TypeError:  # they are not all texts
        for value in values:
            told(value)
        return "".join(map(str, values))


def formatted(pattern: object, *args: object, **names: object) -> None:
    """Take what formatting with `%` makes."""
    text = str(pattern)
    if _WIDE.search(text):
        raise TemplateError("a text is formatted with too wide a field")
    values = (*args, *names.values())
    told(text)
    if len(args) == 1 and isinstance(args[0], Mapping):
        values = tuple(args[0].values())
    elif not names:
        return told(values)
    for value in values:
        told(value, times=text.count("%(") or 1)
    return None


def fields(pattern: str, *args: object, **names: object) -> None:
    """Take what `str.format` makes."""
    if _WIDE_FIELD.search(pattern.replace("{{", "")):
        raise TemplateError("a text is formatted with too wide a field")
    told(pattern)
    for value in (*args, *names.values()):
        told(value, times=pattern.count("{") or 1)


def _padded(text: object, width: object = 80, *_: object) -> None:
    del text
    if isinstance(width, int):
        spend(max(0, width))


def _with_tabs(text: str, tabsize: int = 8) -> None:
    spend(text.count("\t") * max(0, tabsize))


def _replaced(text: object, old: object, new: object, *_: object, **__: object) -> None:
    told(text)
    old, new, text = str(old), str(new), str(text)
    spend((text.count(old) if old else len(text) + 1) * len(new))


def _split(text: str, sep: str | None = None, *_: object, **__: object) -> None:
    found = text.count(sep) if sep else sum(map(text.count, (" ", "\t", *_LINE_ENDS)))
    spend(_PIECE * (found + 1))


def _lines(text: str, *_: object, **__: object) -> None:
    spend(_PIECE * (sum(map(text.count, _LINE_ENDS)) + 1))


def _indented(text: object, width: int | str = 4, first: bool = False, blank: bool = False) -> None:
    del first, blank
    told(text)
    lines = str(text).count("\n") + 1
    spend(lines * (len(width) if isinstance(width, str) else max(0, width)))


def _strung(value: object, d: object = "", attribute: object = None) -> None:
    del attribute
    elements(value)
    told(value)
    spend(len(str(d)) * _count(value))


def _sliced(value: object, slices: int, *_: object, **__: object) -> None:
    elements(value)
    spend(_PIECE * max(0, slices))


def _batched(value: object, linecount: int, *_: object, **__: object) -> None:
    elements(value)
    spend(_PIECE * max(0, linecount))


def _listed(values: object, *_: object, **__: object) -> None:
    elements(values)


def _compared(values: object, *_: object, **__: object) -> None:
    elements(values)
    told(values)


def _summed(value: object, attribute: object = None, start: object = 0) -> None:
    del value, attribute
    if not isinstance(start, int | float):
        raise TypeError("only numbers are summed")


def _whole(value: object, *_: object, **__: object) -> None:
    if isinstance(value, str) and len(value) > _DIGITS:
        raise TemplateError("a number has too many digits")


def _wrapped(
    text: object,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str | None = None,
    break_on_hyphens: bool = True,
) -> None:
    del width, break_long_words, break_on_hyphens
    told(text, times=_SLOW + len(wrapstring or ""))


def _words(text: object) -> None:
    told(text)
    _split(str(text))


def _rounded(value: object, precision: int = 0, method: str = "common") -> None:
    del value, method
    if abs(precision) > _PRECISION:
        raise TemplateError("a number is rounded to too many digits")


def as_json(value: object, indent: int | str | None) -> None:
    """Take what *value* needs in JSON."""
    if not indent and left().knows(value):
        return
    width = len(indent) if isinstance(indent, str) else indent or 0
    told(value, max(0, width))


def _text(value: object, *_: object, **__: object) -> None:
    told(value)


def _count(values: object) -> int:
    return len(values) if hasattr(values, "__len__") else 0


METHODS: Mapping[str, Taking] = MappingProxyType(
    {
        "ljust": _padded,
        "rjust": _padded,
        "center": _padded,
        "zfill": _padded,
        "expandtabs": _with_tabs,
        "replace": _replaced,
        "split": _split,
        "rsplit": _split,
        "splitlines": _lines,
        "join": lambda text, values: _strung(values, text),
    }
)
"""Methods of texts; what they are called with begins with the text."""

_TEXTS = (
    *("capitalize", "e", "escape", "forceescape", "lower", "string", "title"),
    *("trim", "truncate", "upper", "urlencode"),
)
FILTERS: Mapping[str, Taking] = MappingProxyType(
    {
        **dict.fromkeys(_TEXTS, _text),
        **dict.fromkeys(("dictsort", "groupby", "max", "min", "sort", "unique"), _compared),
        "batch": _batched,
        "center": _padded,
        "format": formatted,
        "indent": _indented,
        "int": _whole,
        "join": _strung,
        "list": _listed,
        "replace": _replaced,
        "round": _rounded,
        "slice": _sliced,
        "sum": _summed,
        "wordcount": _words,
        "wordwrap": _wrapped,
    }
)
"""Filters; what they are called with begins with what is filtered."""
MATERIAL = frozenset(("join", "dictsort", "groupby", "max", "min", "sort", "unique"))
"""Filters and methods that look at all there is, so that it may be looked at before."""


def counted(name: str, values: Iterator[object]) -> Iterator[object]:
    """Yield *values*, and take what they need where they were made on the way."""
    for value in values:
        size = len(value) if isinstance(value, str) and name == "map" else 0
        spend(_REFERENCE + min(size, _PIECE * _PIECE))
        if isinstance(value, list):
            made(value)
        yield value
