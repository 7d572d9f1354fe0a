"""The sockets of one HTTP session: what moves can be broken off, and files bypass Python."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from modelpack import limits
from modelpack.errors import IntegrityError

if TYPE_CHECKING:
    import ssl

    from urllib3.connectionpool import HTTPConnectionPool


_PORTS = {"http": 80, "https": 443}


class FilePart(NamedTuple):
    """The bytes from *start* up to *stop* of an open file, as a piece of a request body."""

    descriptor: int
    start: int
    stop: int

    def send(self, sock: socket.socket) -> None:
        """Hand the bytes to the kernel, which takes them from its page cache."""
        at = before = self.start
        began = time.monotonic()
        while at < self.stop:
            if time.monotonic() - began >= limits.STALL_S:
                if at - before < limits.STALL_BYTES:
                    raise TimeoutError("the other side has all but stopped taking")
                began, before = time.monotonic(), at
            try:
                sent = os.sendfile(sock.fileno(), self.descriptor, at, self.stop - at)
            except BlockingIOError:
                _wait_until_writable(sock)
                continue
            if not sent:
                raise _cut_short()
            at += sent

    def blocks(self) -> Iterator[bytes]:
        """Yield the bytes, for connections that must encrypt them."""
        at = self.start
        while at < self.stop:
            block = os.pread(self.descriptor, min(limits.BLOCK, self.stop - at), at)
            if not block:
                raise _cut_short()
            at += len(block)
            yield block


Piece: TypeAlias = bytes | FilePart
"""A piece of a request body."""


class Sockets:
    """Every socket that is open, from any thread."""

    def __init__(self, avoids: Callable[[str], bool] | None = None) -> None:
        self._avoids = avoids
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._is_shut = False

    def add(self, opened: socket.socket | None) -> None:
        """Remember *opened* while it lives; after `shut` it is of no use.

        Raises:
            OSError: it leads where nothing may be sent.
        """
        if opened is not None:
            one = getattr(opened, "socket", opened)  # TLS within TLS is no socket
            if self._avoids is not None and self._avoids(str(one.getpeername()[0])):
                one.close()
                raise OSError(errno.EACCES, "its address may not be asked")
            with self._lock:
                self._open.add(one)
                late = self._is_shut
            if late:
                _shut(one)

    def shut(self) -> None:
        """Let every read and write that waits fail now, and whatever comes later."""
        with self._lock:
            self._is_shut = True
            found = list(self._open)
        for one in found:
            _shut(one)

    def connect(self, host: str, port: int | None, context: ssl.SSLContext | None) -> socket.socket:
        """Return a new connection to *host*, with TLS if there is a *context* for it.

        Raises:
            OSError: there is none.
        """
        where: Any = (
            host.encode("ascii"),
            port or _PORTS["https" if context else "http"],
        )  # no IDNA
        opened = socket.create_connection(where, limits.CONNECT_TIMEOUT_S)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.add(opened)
            if context is not None:
                opened = context.wrap_socket(opened, server_hostname=host.rstrip("."))
                self.add(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    def pools(self) -> dict[str, type[HTTPConnectionPool]]:
        """Return connection pools, by scheme, whose connections tell us of their sockets."""
        from urllib3.connection import HTTPConnection, HTTPSConnection
        from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

        add = self.add

        class Telling:
            """Tells of its socket, and sends pieces of files."""

            sock: Any

            def connect(self) -> None:
                super().connect()  # type: ignore[misc]
                add(self.sock)

            def send(self, data: Any) -> None:  # noqa: ANN401
                if not isinstance(data, FilePart):
                    super().send(data)  # type: ignore[misc]
                    return
                self.sock.settimeout(limits.READ_TIMEOUT_S)  # until here it was that of connecting
                self.send_part(data)

            def send_part(self, part: FilePart) -> None:
                part.send(self.sock)

        class Plain(Telling, HTTPConnection):
            """Lets the kernel send pieces of files."""

        class Secure(Telling, HTTPSConnection):
            """Encrypts them block by block."""

            def send_part(self, part: FilePart) -> None:
                for block in part.blocks():
                    self.send(block)

        plain = type("PlainPool", (HTTPConnectionPool,), {"ConnectionCls": Plain})
        secure = type("SecurePool", (HTTPSConnectionPool,), {"ConnectionCls": Secure})
        return {"http": plain, "https": secure}


def _shut(one: socket.socket) -> None:
    with suppress(OSError):  # closed already
        socket.socket.shutdown(one, socket.SHUT_RDWR)  # TLS would first say goodbye


def _wait_until_writable(sock: socket.socket) -> None:
    waiting = select.poll()
    waiting.register(sock, select.POLLOUT)
    timeout = sock.gettimeout()
    if not waiting.poll(None if timeout is None else timeout * 1000):
        raise TimeoutError("the other side takes nothing more")


def _cut_short() -> IntegrityError:
    return IntegrityError(
        "a file became shorter while it was sent", hint="`modelpack fsck` checks the store"
    )
