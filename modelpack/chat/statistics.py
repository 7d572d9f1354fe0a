"""What `--verbose` says after an answer, in Ollama's words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from modelpack.engine.base import Finished

_LABEL = 22
_UNITS = (("s", 1_000_000_000), ("ms", 1_000_000), ("µs", 1_000), ("ns", 1))


def format_statistics(finished: Finished) -> list[str]:
    """Return the lines, in Ollama's order; the rate of the prompt counts computed tokens only."""
    took = finished.statistics
    computed = took.prompt_tokens - took.cached_tokens
    rows = (
        ("total duration", format_duration(took.total_s)),
        ("load duration", format_duration(took.load_s)),
        ("prompt eval count", f"{took.prompt_tokens} token(s)"),
        ("prompt eval duration", format_duration(took.prompt_s)),
        ("prompt eval rate", _rate(computed, took.prompt_s)),
        ("eval count", f"{took.generated_tokens} token(s)"),
        ("eval duration", format_duration(took.generation_s)),
        ("eval rate", _rate(took.generated_tokens, took.generation_s)),
    )
    return [f"{label + ':':<{_LABEL}}{value}" for label, value in rows]


def format_forgotten(finished: Finished) -> str:
    """Return what the context had no room for, in a line; empty for most answers."""
    took = finished.statistics
    parts = (
        (took.left_out_messages, "earlier messages were left out"),
        (took.truncated_tokens, "tokens of the prompt were left out"),
        (took.shifted_tokens, "tokens were forgotten on the way"),
    )
    said = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    return f"the context was full: {said}; num_ctx says how much it holds" if said else ""


def format_duration(seconds: float) -> str:
    """Return *seconds* as Go writes a duration: `1m2.5s`, `12.345678ms`, `0s`."""
    total = round(seconds * 1_000_000_000)
    if total <= 0:
        return "0s"
    minutes, rest = divmod(total, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    unit, size = next((u, s) for u, s in _UNITS if rest >= s or s == 1)
    if hours or minutes:
        unit, size = _UNITS[0]
    whole, part = divmod(rest, size)
    digits = f"{part:0{len(str(size)) - 1}d}".rstrip("0") if size > 1 else ""
    text = f"{whole}.{digits}{unit}" if digits else f"{whole}{unit}"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def _rate(tokens: int, seconds: float) -> str:
    return f"{tokens / seconds if seconds > 0 else 0.0:.2f} tokens/s"
