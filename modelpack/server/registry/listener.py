"""Listening: the registry in the foreground until a signal, or in a thread for a `with` block."""

from __future__ import annotations

import contextlib
import signal
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from modelpack.errors import InputError, MissingExtraError, StoreError
from modelpack.server.registry.collecting import collecting
from modelpack.server.registry.settings import CONNECTIONS, SHUTDOWN_S, RegistrySettings
from modelpack.server.registry.storage.layout import Layout, opened
from modelpack.server.sockets import listening

if TYPE_CHECKING:
    from modelpack.server.hosting import Server

_JOIN_S = SHUTDOWN_S + 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(settings: RegistrySettings, ready: Callable[[str], None] | None = None) -> None:
    """Run the registry until SIGINT or SIGTERM; *ready* is told its base URL.

    Raises:
        InputError: the settings are not usable, or the address is not to be had.
        StoreError: the folder cannot be written, or another registry serves it.
        MissingExtraError: the `registry` extra is not installed.
    """
    settings.check()
    with (
        opened(settings.root) as layout,
        _listening(settings) as sock,
        collecting(settings, layout),
    ):
        base = _base_url(settings, sock)
        server = _server(settings, layout, lambda: ready(base) if ready else None)
        with _ended_by_signal(server):
            server.run(sockets=[sock])


@contextlib.contextmanager
def running(settings: RegistrySettings) -> Iterator[str]:
    """Run the registry in a thread for the length of a `with` block, and yield its base URL.

    Raises as `serve`.
    """
    settings.check()
    started = threading.Event()
    with (
        opened(settings.root) as layout,
        _listening(settings) as sock,
        collecting(settings, layout),
    ):
        server = _server(settings, layout, started.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [sock]}, name="registry", daemon=True
        )
        thread.start()
        try:
            while not started.wait(0.05):
                if not thread.is_alive():
                    raise StoreError("the registry did not start")
            yield _base_url(settings, sock)
        finally:
            server.end()
            thread.join(_JOIN_S)


def _listening(settings: RegistrySettings) -> contextlib.AbstractContextManager[socket.socket]:
    hint = "is another server running there? choose an address with --listen"
    return listening(*settings.address(), hint)


def _base_url(settings: RegistrySettings, sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _server(settings: RegistrySettings, layout: Layout, ready: Callable[[], None]) -> Server:
    try:
        import uvicorn

        from modelpack.server.hosting import Server
        from modelpack.server.registry.app import build
        from modelpack.server.registry.auth import Htpasswd
        from modelpack.server.registry.transport import FileSendingProtocol
    except ModuleNotFoundError as error:
        raise MissingExtraError("the embedded registry", "registry") from error

    users = Htpasswd.load(settings.htpasswd) if settings.htpasswd else None
    config = uvicorn.Config(
        build(layout, users),
        http=FileSendingProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="error",  # who tries TLS here, as our own client does, is no news
        proxy_headers=False,
        server_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=SHUTDOWN_S,
        ssl_certfile=settings.tls_cert,
        ssl_keyfile=settings.tls_key,
    )
    try:
        config.load()
    except (ssl.SSLError, OSError) as error:
        raise InputError(
            f"not a certificate and its key: {settings.tls_cert}, {settings.tls_key}: {error}"
        ) from error
    return Server(config, ready)


@contextlib.contextmanager
def _ended_by_signal(server: Server) -> Iterator[None]:
    def end(number: int, frame: FrameType | None) -> None:
        del number, frame
        server.end()

    before = {number: signal.signal(number, end) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
