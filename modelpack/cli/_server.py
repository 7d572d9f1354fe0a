"""Whether a command asks a server or works on the store itself.

A server on the same store would do the same, so the store is used at once. A server on another one
(the system's service, or another machine) is the place where models are, as for those who know
docker and Ollama; unless `MODELPACK_LOCAL` is set.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from modelpack.errors import ServerError

if TYPE_CHECKING:
    from modelpack.client.http import Client
    from modelpack.config import Settings
    from modelpack.ops.context import Context

_KNOCK_S = 0.5
"""How long a server that nobody named may take to accept a connection."""


def server(settings: Settings) -> Client:
    """Return the server that *settings* name, whether it answers or not."""
    from modelpack.address import parse_address
    from modelpack.client.http import Client

    return Client(parse_address(settings.host or "127.0.0.1"), settings.api_key)


def running(context: Context) -> tuple[Client, bool] | None:
    """Return a server that answers, and whether its store is that of *context*; else None.

    Raises:
        ServerError: a server on another machine was named, and does not answer.
    """
    settings = context.settings
    if settings.local:
        return None
    from modelpack.address import parse_address

    address = parse_address(settings.host or "127.0.0.1").for_clients
    if address.is_loopback and not _listens(address.host, address.port):
        return None
    client = server(settings)
    said = client.version()
    if said is None:
        if address.is_loopback:
            return None
        raise ServerError(
            f"the server at {address.url} does not answer",
            hint="MODELPACK_HOST names it; unset it, or set MODELPACK_LOCAL=1, to work without",
        )
    ours = said.get("server") == "modelpack"
    if not ours and not settings.host:
        return None  # something else listens where ours usually does
    return client, said.get("store") == context.store.identity


def elsewhere(context: Context) -> Client | None:
    """Return the server to ask in place of the store of *context*, or None for the store.

    Raises as `running`.
    """
    found = running(context)
    return found[0] if found is not None and not found[1] else None


def _listens(host: str, port: int) -> bool:
    where: Any = (host.encode("ascii"), port)  # as text, it would load what IDNA needs
    try:
        socket.create_connection(where, _KNOCK_S).close()
    except OSError:
        return False
    return True
