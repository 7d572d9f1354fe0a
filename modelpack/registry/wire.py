"""The sockets of one HTTP session, so that reading from them can be broken off."""

from __future__ import annotations

import socket
import threading
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from urllib3.connectionpool import HTTPConnectionPool


class Sockets:
    """Every socket that is open, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()

    def add(self, opened: socket.socket | None) -> None:
        """Remember *opened* while it lives."""
        if opened is not None:
            with self._lock:
                self._open.add(opened)

    def shut(self) -> None:
        """Let every read and write that waits fail now."""
        with self._lock:
            found = list(self._open)
        for one in found:
            with suppress(OSError):  # closed already
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # TLS would first say goodbye

    def pools(self) -> dict[str, type[HTTPConnectionPool]]:
        """Return connection pools, by scheme, whose connections tell us of their sockets."""
        from urllib3.connection import HTTPConnection, HTTPSConnection
        from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

        add = self.add

        class Plain(HTTPConnection):
            """Tells of its socket."""

            def connect(self) -> None:
                super().connect()
                add(self.sock)

        class Secure(HTTPSConnection):
            """Tells of its socket."""

            def connect(self) -> None:
                super().connect()
                add(self.sock)

        plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
        return {"http": plain, "https": secure}
