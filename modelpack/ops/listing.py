"""List the models in the store."""

from __future__ import annotations

from collections.abc import Callable

from modelpack.ops.context import Context
from modelpack.store.names import Listed


def list_models(context: Context, warn: Callable[[str], None], prefix: str = "") -> list[Listed]:
    """Return the models whose name starts with *prefix*, newest first.

    *warn* is told of every file among the names that is not a model.
    """
    wanted = prefix.lower()
    found = (m for m in context.store.glance(warn) if m.name.lower().startswith(wanted))
    return sorted(found, key=lambda model: (-model.modified, model.name))
