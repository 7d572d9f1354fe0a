"""A forward proxy: `CONNECT` for https, whole URLs for http; it alone knows where names lead."""

from __future__ import annotations

import contextlib
import http.client
import select
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from fakes.web import Exchange, FakeServer

_HOP = frozenset(("proxy-authorization", "proxy-connection", "connection", "host"))


class ForwardProxy(FakeServer):
    """Forwards to *places*, which are names with the `host:port` that each one means."""

    def __init__(self, places: Mapping[str, str] | None = None, login: str = "") -> None:
        super().__init__()
        self.places = dict(places or {})
        self.login = login
        """What `Proxy-Authorization` must say, if anything."""
        self.wanted: list[str] = []
        """Method and target of every request."""
        self._http.RequestHandlerClass.do_CONNECT = Exchange._serve  # type: ignore[attr-defined]

    def answer(self, exchange: Exchange) -> None:
        self.wanted.append(f"{exchange.command} {exchange.path}")
        if self.login and exchange.headers.get("Proxy-Authorization") != self.login:
            exchange.reply(407, b"log in", Proxy_Authenticate='Basic realm="proxy"')
        elif exchange.command == "CONNECT":
            self._tunnel(exchange)
        else:
            self._forward(exchange)

    def _address(self, netloc: str) -> tuple[str, int]:
        host, _, port = self.places.get(netloc, netloc).partition(":")
        return host, int(port)

    def _tunnel(self, exchange: Exchange) -> None:
        with socket.create_connection(self._address(exchange.path), 10) as far:
            exchange.send_response(200, "Connection established")
            exchange.end_headers()
            exchange.wfile.flush()
            near = exchange.connection
            ends = {near: far, far: near}
            with contextlib.suppress(OSError):
                while True:
                    for end in select.select(list(ends), (), (), 30)[0]:
                        data = end.recv(65_536)
                        if not data:
                            raise ConnectionResetError
                        ends[end].sendall(data)
        exchange.close_connection = True

    def _forward(self, exchange: Exchange) -> None:
        url = urlsplit(exchange.path)
        headers = {k: v for k, v in exchange.headers.items() if k.lower() not in _HOP}
        far = http.client.HTTPConnection(*self._address(url.netloc), timeout=10)
        with contextlib.closing(far):
            path = f"{url.path}?{url.query}" if url.query else url.path
            far.request(
                exchange.command, path, exchange.body, headers={**headers, "Host": url.netloc}
            )
            answer = far.getresponse()
            body = answer.read()
            given = {k.replace("-", "_"): v for k, v in answer.getheaders()}
            for name in ("Date", "Server", "Content_Length"):
                given.pop(name, None)
            exchange.reply(answer.status, body, **given)
