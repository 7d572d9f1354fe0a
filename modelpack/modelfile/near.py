"""What somebody probably meant when a name is not known."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(written: str, names: Iterable[str]) -> str | None:
    """Return the one of *names* that looks most like *written*, if any looks like it."""
    import difflib

    known = {name.lower(): name for name in names}
    found = difflib.get_close_matches(written.lower()[:64], known, n=1, cutoff=0.6)
    return known[found[0]] if found else None
