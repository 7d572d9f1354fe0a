"""What the file system says about the store, in our words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from modelpack.errors import StoreError
from modelpack.store.paths import Layout

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def store_errors(layout: Layout) -> Iterator[None]:
    """Turn what the file system says into a `StoreError` with a hint."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"no space left for the store {layout.root}",
                hint="free some space, or set MODELPACK_MODELS to another disk",
            ) from None
        raise StoreError(
            f"cannot write to the store {layout.root}: {error.strerror or error}",
            hint="set MODELPACK_MODELS to a folder you may write to",
        ) from None
