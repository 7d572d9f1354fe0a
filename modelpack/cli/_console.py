"""Tables, sizes, times and JSON, as people and scripts want them."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Sequence

from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference

_UNITS = ("B", "KB", "MB", "GB", "TB", "PB")
_PADDING = "    "
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def out(text: str) -> None:
    """Print a line of result."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """Print a line about what happens, beside the result."""
    sys.stderr.write(text + "\n")


def warn(text: str) -> None:
    """Print a warning, beside the result."""
    sys.stderr.write(f"Warning: {printable(text)}\n")


def printable(text: str) -> str:
    """Keep the names of files from writing control sequences, or what is not Unicode."""
    return "".join(c if c.isprintable() else "?" for c in text)


def json_out(value: object) -> None:
    """Print *value* as one JSON document."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print left-aligned columns, as docker and Ollama do."""
    sys.stdout.write(table_text(header, rows))


def table_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return what `table` prints."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "".join(
        "".join(cell.ljust(width) + _PADDING for cell, width in zip(line, widths, strict=True))
        + "\n"
        for line in lines
    )


def format_size(size: int) -> str:
    """Write bytes as Ollama does: powers of 1000, one decimal below ten."""
    value = float(size)
    unit = _UNITS[0]
    for unit in _UNITS:  # noqa: B007 - the unit that fits is the result
        if value < 1000:
            break
        value /= 1000
    if unit == "B" or value >= 10:
        return f"{int(value)} {unit}"
    return f"{int(value * 10) / 10:.1f} {unit}"


def format_age(seconds: float) -> str:
    """Write how long ago something was, as Ollama does."""
    text = _duration(max(0, int(seconds)))
    return f"{text} ago"


def format_ahead(seconds: float) -> str:
    """Write when something will be, as Ollama does."""
    return f"{_duration(max(0, int(seconds)))} from now"


def format_duration(seconds: float) -> str:
    """Write how long something will take: `7 s`, `3 min`, `2 h 5 min`."""
    whole = math.ceil(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    minutes = whole // _MINUTE
    return f"{minutes} min" if whole < 2 * _HOUR else f"{minutes // 60} h {minutes % 60} min"


def _duration(seconds: int) -> str:
    days = seconds // _DAY
    steps = (
        (seconds < 1, "Less than a second"),
        (seconds < _MINUTE, _count(seconds, "second")),
        (seconds < 2 * _MINUTE, "About a minute"),
        (seconds < _HOUR, _count(seconds // _MINUTE, "minute")),
        (seconds < 2 * _HOUR, "About an hour"),
        (seconds < 2 * _DAY, _count(seconds // _HOUR, "hour")),
        (days < 14, _count(days, "day")),
        (days < 60, _count(days // 7, "week")),
        (days < 730, _count(days // 30, "month")),
    )
    return next((text for fits, text in steps if fits), _count(days // 365, "year"))


def _count(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def age_of(modified: float) -> str:
    """Write how long ago the time *modified* (seconds since 1970) was."""
    return format_age(time.time() - modified)


def transferred(name: str, manifest: Manifest, *, quiet: bool, as_json: bool) -> None:
    """Print what was pushed or pulled: its name and digest."""
    if as_json:
        json_out({"name": name, "digest": str(manifest.digest), "size": manifest.size})
    else:
        out(str(manifest.digest) if quiet else f"{name}  {manifest.digest}")


def moved(models: Sequence[tuple[Reference, Manifest]], *, quiet: bool, as_json: bool) -> None:
    """Print what was saved or loaded, each with its name and digest."""
    if as_json:
        json_out(
            [
                {"name": str(name), "digest": str(manifest.digest), "size": manifest.size}
                for name, manifest in models
            ]
        )
        return
    for name, manifest in models:
        transferred(name.name, manifest, quiet=quiet, as_json=False)
