"""Who takes a request to its server: `direct`, and from the first odd thing on `transport`."""

from __future__ import annotations

import threading

from modelpack.registry.direct import Direct, OddError
from modelpack.registry.exchange import Answer, Request
from modelpack.registry.transport import Library, library
from modelpack.registry.ways import Ways


class Carriers:
    """Takes requests to the registry *host* and whomever it names; threads may share it.

    *name* is its real name, the only one that a client certificate is shown to. Where it is
    *quiet*, nobody warns of TLS that is not verified.
    """

    def __init__(self, host: str, name: str, ways: Ways, *, quiet: bool) -> None:
        self._name = name
        self._ways = ways
        self._quiet = quiet
        self.direct = Direct(host, name, ways)
        self._lock = threading.Lock()
        self._library: Library | None = None

    def close(self) -> None:
        """Close the connections."""
        self.direct.close()
        if self._library is not None:
            self._library.close()

    def send(self, request: Request) -> Answer:
        """Send *request* and return the answer."""
        if self._library is None:
            try:
                return self.direct.send(request)
            except OddError:
                pass
        return self.library().send(request)

    def library(self) -> Library:
        """Return the one that knows everything, and leave the rest to it."""
        with self._lock:
            if self._library is None:
                self._library = library(self._name, self._ways, quiet=self._quiet)
            return self._library

    def speaks_tls(self, name: str) -> bool:
        """Tell whether the host *name* speaks TLS at all, whether or not it is to be trusted.

        Raises:
            NetworkError: a proxy that leads there is not there itself.
        """
        return self.library().speaks_tls(name)
