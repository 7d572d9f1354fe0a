"""Sizes and times as people write them."""

from __future__ import annotations

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
