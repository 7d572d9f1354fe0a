"""Listening: the server in the foreground until a signal, or in a thread for a `with` block."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from modelpack import __version__
from modelpack.address import Address
from modelpack.errors import InputError, MissingExtraError, StoreError
from modelpack.runtime.placement.devices import read_system
from modelpack.server.daemon.logs import begin_logging
from modelpack.server.daemon.settings import ServeSettings
from modelpack.server.sockets import listening

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from modelpack.ops.context import Context
    from modelpack.server.daemon.doorman import Rules
    from modelpack.server.hosting import Server

_log = logging.getLogger("modelpack.server")
CONNECTIONS = 8_192
"""Connections at a time."""
KEEP_ALIVE_S = 300
"""How long a connection stays open between two requests."""
DRAIN_S = 30
"""How long answers may go on after the server was told to end."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AUTO_MODELS = 3


def serve(
    context: Context, settings: ServeSettings, ready: Callable[[str], None] | None = None
) -> None:
    """Serve the models of *context* until SIGINT or SIGTERM; *ready* is told the base URL.

    The first signal lets answers go on for a while, the second one does not.

    Raises:
        InputError: the settings are not usable, or the address is not to be had.
        MissingExtraError: the `server` extra is not installed.
    """
    require_extra()
    rules_of(settings)
    begin_logging(settings.log_format, debug=settings.debug)
    _raise_limit()

    def began(server: Server) -> None:
        def end() -> None:
            _log.info("stopping; answers may go on for %d s", DRAIN_S)
            server.end()

        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, end)

    with _listening(settings.address) as sock:
        asyncio.run(_serve(context, settings, sock, ready or _nobody, began))


@contextlib.contextmanager
def running(context: Context, settings: ServeSettings) -> Iterator[str]:
    """Serve in a thread for the length of a `with` block, and yield the base URL.

    Raises as `serve`.
    """
    require_extra()
    rules_of(settings)
    started = threading.Event()
    servers: list[Server] = []
    failed: list[BaseException] = []

    def run(sock: socket.socket) -> None:
        def ready(_url: str) -> None:
            started.set()

        try:
            asyncio.run(_serve(context, settings, sock, ready, servers.append))
        except BaseException as error:  # noqa: BLE001 - told to whoever waits
            failed.append(error)

    with _listening(settings.address) as sock:
        thread = threading.Thread(target=run, args=(sock,), name="server", daemon=True)
        thread.start()
        try:
            while not started.wait(0.02):
                if not thread.is_alive():
                    raise failed[0] if failed else StoreError("the server did not start")
            yield _base_url(settings.address, sock)
        finally:
            for server in servers:
                server.end()
                server.end()
            thread.join(DRAIN_S)


def require_extra() -> None:
    """Look for what the server needs.

    Raises:
        MissingExtraError: it is not installed.
    """
    for name in ("starlette", "uvicorn", "httptools"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError("the server", "runtime")


def _nobody(_url: str) -> None:
    """Tell nobody."""


async def _serve(
    context: Context,
    settings: ServeSettings,
    sock: socket.socket,
    ready: Callable[[str], None],
    began: Callable[[Server], None],
) -> None:
    from modelpack.server.daemon.app import build
    from modelpack.server.daemon.pool.pool import Pool
    from modelpack.server.daemon.pool.values import Limits

    pool = Pool(
        Limits(
            runners=settings.max_loaded_models or _models_at_a_time(),
            places=settings.num_parallel,
            queue=settings.max_queue,
            load_timeout_s=settings.load_timeout_s,
        )
    )
    base = _base_url(settings.address, sock)
    server = _server(
        build(context, settings, pool, rules_of(settings)), lambda: _ready(base, ready)
    )
    began(server)
    try:
        await server.serve(sockets=[sock])
    finally:
        tell_manager("STOPPING=1")
        await pool.close()


def rules_of(settings: ServeSettings) -> Rules:
    """Return who is let in.

    Raises:
        InputError: others than this machine could reach a server that lets everybody in.
    """
    from modelpack.server.daemon.doorman import Rules
    from modelpack.server.daemon.keys import Keys

    keys = Keys(settings.api_keys_file) if settings.api_keys_file else None
    loopback = settings.address.is_loopback
    if not loopback and keys is None and not settings.no_auth:
        raise InputError(
            f"listening on {settings.address} lets everybody who reaches it use and change models",
            hint="set MODELPACK_API_KEYS_FILE (see `modelpack keys add`), or say --no-auth",
        )
    return Rules(checks_host=loopback, origins=settings.origins, keys=keys)


def _server(app: ASGIApp, ready: Callable[[], None]) -> Server:
    import uvicorn

    from modelpack.server.hosting import BoundProtocol, Server

    config = uvicorn.Config(
        app,
        http=BoundProtocol,
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="error",
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=CONNECTIONS,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    return Server(config, ready)


def _ready(base: str, ready: Callable[[str], None]) -> None:
    tell_manager("READY=1")
    _log.info("listening", extra={"said": {"url": base, "version": __version__}})
    ready(base)


def tell_manager(state: str) -> None:
    """Tell systemd, where it started us and wants to know, such as `READY=1`.

    See: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    """
    path = os.environ.get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.sendto(state.encode(), path.replace("@", "\0", 1) if path[0] == "@" else path)


def _listening(address: Address) -> contextlib.AbstractContextManager[socket.socket]:
    hint = "is a server (or Ollama) running there? MODELPACK_HOST says where to listen"
    return listening(address.host, address.port, hint)


def _base_url(address: Address, sock: socket.socket) -> str:
    port = sock.getsockname()[1]
    return Address(address.host, port).for_clients.url


def _models_at_a_time() -> int:
    """Return how many models are loaded where nobody says: three, or three for each GPU."""
    return _AUTO_MODELS * max(1, len(read_system().devices))


def _raise_limit() -> None:
    """Have as many files open as we may: each connection is one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
