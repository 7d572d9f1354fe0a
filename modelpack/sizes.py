"""Sizes as people write them."""

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
