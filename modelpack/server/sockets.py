"""The socket that a server listens on."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

from modelpack.errors import InputError

_BACKLOG = 2048


@contextlib.contextmanager
def listening(host: str, port: int, hint: str) -> Iterator[socket.socket]:
    """Yield a socket that listens on *host* and *port*, 0 for a free one; close it at the end.

    Raises:
        InputError: the address is not to be had; *hint* says what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        sock = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise InputError(f"cannot listen on {shown}: {_reason(error)}", hint=hint) from error
    with contextlib.closing(sock):
        yield sock


def _reason(error: OSError) -> str:
    """Return why, without the address that `create_server` puts behind it once more."""
    return (error.strerror or str(error)).partition(" (while ")[0]
