"""How an HTTP session gets to servers: with our trust, through the proxies of the environment.

The client certificate is shown to the registry's own host only, wherever a redirect or a token
service leads. Loads requests, and is therefore imported when a session begins.
"""

from __future__ import annotations

import importlib.util

import requests
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as RequestsConnectionError
from requests.exceptions import ProxyError, SSLError
from urllib3.exceptions import ProtocolError

from modelpack import limits
from modelpack.errors import InputError
from modelpack.registry.failures import login_wanted, proxy_error
from modelpack.registry.handshake import refusal
from modelpack.registry.proxies import Proxy, proxy_for
from modelpack.registry.ways import Ways

_PROXY_WANTS_LOGIN = 407
_CONNECTIONS = 32


def mount(session: requests.Session, name: str, ways: Ways) -> None:
    """Let *session* reach servers by *ways*, and show a client certificate to *name* only."""
    session.trust_env = False  # what the environment says is in `ways`
    session.mount("http://", _Adapter(ways))
    session.mount("https://", _Adapter(ways))
    session.mount(f"https://{name}/", _Adapter(ways, identify=True))


class _Adapter(HTTPAdapter):
    """Has trust, proxies and sockets from *ways* instead of from requests."""

    def __init__(self, ways: Ways, *, identify: bool = False) -> None:
        self._ways = ways
        self._identify = identify
        self._answered = False
        super().__init__(pool_maxsize=_CONNECTIONS)

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs, blocksize=limits.BLOCK)  # type: ignore[arg-type]
        self.poolmanager.pool_classes_by_scheme = self._ways.sockets.pools()

    def proxy_manager_for(self, proxy: str, **kwargs: object):  # type: ignore[no-untyped-def]  # noqa: ANN202
        if not proxy.startswith("http"):
            return super().proxy_manager_for(proxy, **kwargs)
        if proxy.startswith("https:"):  # the proxy has TLS of its own, around what goes through it
            context = self._ways.contexts.get(identify=False)
            kwargs |= {"proxy_ssl_context": context, "ssl_context": context}
        manager = super().proxy_manager_for(proxy, blocksize=limits.BLOCK, **kwargs)
        manager.pool_classes_by_scheme = self._ways.sockets.pools()
        return manager

    def build_connection_pool_key_attributes(  # type: ignore[no-untyped-def]  # noqa: ANN202
        self, request: requests.PreparedRequest, *args: object, **kwargs: object
    ):
        where, _ = super().build_connection_pool_key_attributes(request, *args, **kwargs)  # type: ignore[arg-type]
        if where["scheme"] != "https":
            return where, {}
        return where, {"ssl_context": self._ways.contexts.get(identify=self._identify)}

    def cert_verify(self, *_args: object, **_kwargs: object) -> None:
        """Leave it to the context."""

    def send(
        self, request: requests.PreparedRequest, *args: object, **kwargs: object
    ) -> requests.Response:
        proxy = proxy_for(request.url or "", self._ways.environment)
        kwargs["proxies"] = {}
        if proxy is None:
            return self._send_directly(request, *args, **kwargs)
        _check(proxy)
        kwargs["proxies"] = {"all": proxy.url}
        try:
            response = super().send(request, *args, **kwargs)  # type: ignore[arg-type]
        except ProxyError as error:
            raise proxy_error(proxy, error) from None
        if response.status_code == _PROXY_WANTS_LOGIN:
            response.close()
            raise login_wanted(proxy)
        return response

    def _send_directly(
        self, request: requests.PreparedRequest, *args: object, **kwargs: object
    ) -> requests.Response:
        url = request.url or ""
        try:
            response = super().send(request, *args, **kwargs)  # type: ignore[arg-type]
        except RequestsConnectionError as error:
            if self._answered or not url.startswith("https:") or not _broke(error):
                raise
            reason = refusal(url, error, self._ways.contexts.get(identify=self._identify))
            if reason is None:
                raise
            raise SSLError(reason, request=request) from None
        self._answered = True
        return response


def _broke(error: RequestsConnectionError) -> bool:
    """Tell whether there was a connection."""
    return isinstance(error, SSLError) or any(isinstance(e, ProtocolError) for e in error.args)


def _check(proxy: Proxy) -> None:
    if proxy.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise InputError(
            f"{proxy.variable} names a SOCKS proxy, which needs PySocks", hint="pip install pysocks"
        )
