"""How one session gets to servers: its trust, its sockets, and the proxies of the environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from modelpack.registry.contexts import Contexts
from modelpack.registry.proxies import proxy_for
from modelpack.registry.wire import Sockets

if TYPE_CHECKING:
    import socket


class Ways(NamedTuple):
    """What all connections of one session share."""

    contexts: Contexts
    sockets: Sockets
    environment: Mapping[str, str]

    def connect(self, root: str, *, identify: bool) -> socket.socket | None:
        """Connect to *root*, a scheme and a host; None where a proxy is between.

        The client certificate is shown if we shall *identify*.

        Raises:
            OSError: nobody answers, or not as a server that we trust.
        """
        if proxy_for(root, self.environment) is not None:
            return None
        where = urlsplit(root)
        context = self.contexts.get(identify=identify) if where.scheme == "https" else None
        return self.sockets.connect(where.hostname or "", where.port, context)
