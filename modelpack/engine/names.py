"""Finds names of tokens in texts. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache


@lru_cache(8)
def finder(names: frozenset[str]) -> re.Pattern[str]:
    """Return what finds *names*, the longest where several begin; as a tree, to be fast."""
    return re.compile(f"({_tree(sorted(names))})" if names else "((?!))")


def _tree(names: Sequence[str]) -> str:
    """Return the expression for *names*, sorted: what they begin with in common comes once."""
    parts: list[str] = []
    at = 0
    while at < len(names):
        first = names[at][:1]
        end = next((n for n in range(at, len(names)) if names[n][:1] != first), len(names))
        if first:
            pairs = enumerate(zip(names[at], names[end - 1], strict=False))
            shortest = min(len(names[at]), len(names[end - 1]))
            common = next((n for n, (one, other) in pairs if one != other), shortest)
            rest = _tree([name[common:] for name in names[at:end]])
            parts.append(re.escape(names[at][:common]) + rest)
        at = end
    if not parts:
        return ""
    whole = parts[0] if len(parts) == 1 else f"(?:{'|'.join(parts)})"
    return f"(?:{whole})?" if names[0] == "" else whole
