"""When to ask a registry again, and how long to wait before.

Pure: what happened and what time it is go in, a pause comes out. Who waits is `session`.

See: https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
"""

from __future__ import annotations

from modelpack import limits

TEMPORARY = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses that may be another one next time."""

_DIGITS = 9


def may_repeat(method: str) -> bool:
    """Tell whether a request with *method* can be sent again without harm."""
    return method in ("GET", "HEAD")


def parse_retry_after(text: str, now: float) -> float | None:
    """Return the seconds that `Retry-After: text` asks for at *now*, or None if it says none.

    *now* is in seconds since 1970.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:_DIGITS]) if len(text) <= _DIGITS else limits.RETRY_AFTER_CAP_S
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # takes long to load, and is rarely needed

    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def pause_after(
    attempt: int, elapsed: float, jitter: float, asked: float | None = None
) -> float | None:
    """Return how long to wait after the failed attempt number *attempt*, or None to give up.

    Args:
        attempt: counted from 1.
        elapsed: seconds since the first attempt began.
        jitter: a random number from 0 to 1, so that many clients do not come back at once.
        asked: what the registry asked for in `Retry-After`.
    """
    if attempt >= limits.RETRIES:
        return None
    longest = min(limits.RETRY_CAP_S, limits.RETRY_BASE_S * 2 ** (attempt - 1))
    pause = longest * (0.5 + jitter / 2)
    if asked is not None:
        pause = max(min(asked, limits.RETRY_AFTER_CAP_S), pause)
    return pause if elapsed + pause <= limits.RETRY_TOTAL_S else None
