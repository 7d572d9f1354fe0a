"""Turns what sockets and the HTTP library raise into our own errors; `handshake` knows of TLS."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from modelpack.errors import ModelPackError, NetworkError, RegistryError
from modelpack.registry.places import described
from modelpack.registry.problems import broken, reason, unreachable
from modelpack.registry.proxies import Proxy

_PROXY_WANTS_LOGIN = 407


@contextmanager
def network_errors(host: str) -> Iterator[None]:
    """Turn whatever goes wrong between *host* and us into our own `NetworkError`."""
    try:
        yield
    except ModelPackError:
        raise
    except Exception as error:
        found = _of_library(host, error) or _of_socket(host, error)
        if found is None:
            raise
        raise found from None


def _of_socket(host: str, error: Exception) -> ModelPackError | None:
    if isinstance(error, TimeoutError):
        return NetworkError(f"{host} stopped answering", hint="try again")
    if isinstance(error, ConnectionError) or type(error).__module__ == "ssl":
        return broken(host, error)
    return None


def _of_library(host: str, error: Exception) -> ModelPackError | None:
    """Return the error for what requests raised, or urllib3 beneath it, if they are in use."""
    if "requests" not in sys.modules:
        return None
    from http.client import HTTPException

    import requests
    import urllib3

    url = getattr(getattr(error, "request", None), "url", None) or ""
    if isinstance(error, requests.exceptions.SSLError):
        from modelpack.registry.handshake import tls_error

        return tls_error(urlsplit(url).netloc or host, error)
    place = described(host, url)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NetworkError(f"{place} does not answer", hint="is the name right?")
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.TimeoutError):
        return NetworkError(f"{place} stopped answering", hint="try again")
    nowhere = (
        requests.exceptions.TooManyRedirects,
        requests.exceptions.InvalidSchema,
        requests.exceptions.InvalidURL,
    )
    if isinstance(error, nowhere):
        return RegistryError(f"{host} redirects to nowhere: {reason(error)}")
    if isinstance(error, requests.exceptions.ConnectionError) and isinstance(
        error.args[0] if error.args else None, urllib3.exceptions.MaxRetryError
    ):
        return unreachable(host, url, error)
    if isinstance(error, requests.RequestException | urllib3.exceptions.HTTPError | HTTPException):
        return broken(place, error)
    return None


def proxy_error(proxy: Proxy, error: BaseException) -> NetworkError:
    """Return the error for a *proxy* that let nothing through because of *error*."""
    said = reason(error)
    if f"{_PROXY_WANTS_LOGIN} " in said:
        return login_wanted(proxy)
    if "Tunnel connection failed" in str(error):
        digits = said[:3] if said[:3].isdecimal() else ""
        return NetworkError(
            f"the proxy {proxy.name} refused a connection: {said}",
            hint="NO_PROXY names whom to reach without it",
            status=int(digits) if digits else None,
        )
    return NetworkError(
        f"cannot reach the proxy {proxy.name}: {said}", hint=f"it is named by {proxy.variable}"
    )


def login_wanted(proxy: Proxy) -> NetworkError:
    """Return the error for a *proxy* that wants another user name or password."""
    return NetworkError(
        f"the proxy {proxy.name} wants a login",
        hint=f"put USER:PASSWORD@ before the host in {proxy.variable}",
    )
