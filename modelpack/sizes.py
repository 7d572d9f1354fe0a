"""Sizes and times as people write them."""

from __future__ import annotations

import math
import re

from modelpack import limits
from modelpack.errors import InputError

_UNITS = {
    "": 1,
    "b": 1,
    "kib": limits.KiB,
    "mib": limits.MiB,
    "gib": limits.GiB,
    "k": limits.KiB,
    "m": limits.MiB,
    "g": limits.GiB,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
}

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_GO_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_GO_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LONGEST_S = 10 * 365 * 86_400


def parse_size(text: str) -> int:
    """Return the bytes that *text* means, such as `512MiB` or `1GB`.

    Raises:
        InputError: it is not a size.
    """
    number = text.strip().rstrip("KMGBkmgbi ")
    unit = text.strip()[len(number) :].strip().lower()
    try:
        size = int(float(number) * _UNITS[unit])
    except (ValueError, KeyError, OverflowError):
        size = 0
    if size <= 0:
        raise InputError(f"not a size: {text!r}", hint="a number and B, KiB, MiB, GiB, MB or GB")
    return size


def parse_duration(text: str) -> float:
    """Return the seconds that *text* means, such as `90s`, `30m`, `24h`, `7d` or `2w`.

    Raises:
        InputError: it is no length of time.
    """
    number, unit = text.strip()[:-1], text.strip()[-1:]
    digits = number.replace(".", "", 1)
    if text.strip() == "0":
        return 0.0
    seconds = -1.0
    if digits.isascii() and digits.isdigit() and unit in _SECONDS:
        seconds = float(number) * _SECONDS[unit]
    if not 0 <= seconds <= _LONGEST_S:
        raise InputError(
            f"not a length of time: {text[:50]!r}", hint="a number and s, m, h, d or w, such as 24h"
        )
    return seconds


def parse_keep_alive(value: object) -> float:
    """Return for how many seconds a model stays loaded: infinity for ever.

    A number is seconds, a text a number or a duration as Go writes it (`1h30m`, `300ms`); what is
    negative stands for ever.

    Raises:
        InputError: *value* is neither.

    See: https://pkg.go.dev/time#ParseDuration
    """
    seconds: float | None = None
    if isinstance(value, int | float) and not isinstance(value, bool):
        seconds = _finite(value)
    elif isinstance(value, str):
        seconds = _go_seconds(value.strip())
    if seconds is None or math.isnan(seconds):
        raise InputError(
            f"not a time to keep a model: {value!r:.60}", hint="seconds, or such as 5m, 1h30m or -1"
        )
    return math.inf if seconds < 0 or seconds > _LONGEST_S else seconds


def _finite(value: float) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None


def _go_seconds(text: str) -> float | None:
    sign = -1.0 if text.startswith("-") else 1.0
    bare = text.lstrip("+-") if len(text) - len(text.lstrip("+-")) <= 1 else ""
    if bare.isascii() and bare.isdigit():
        return sign * float(bare)
    total, at = 0.0, 0
    while at < len(bare):
        part = _GO_PART.match(bare, at)
        if part is None:
            return None
        total += float(part[1]) * _GO_UNITS[part[2]]
        at = part.end()
    return sign * total if bare else None
