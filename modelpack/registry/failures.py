"""Turns what the HTTP library raises into our own errors; `handshake` knows about TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import urlsplit

from modelpack.errors import NetworkError, RegistryError
from modelpack.registry.handshake import tls_error
from modelpack.registry.problems import broken, reason
from modelpack.registry.proxies import Proxy

if TYPE_CHECKING:
    import requests

Answer: TypeAlias = "requests.Response"
"""What a registry answered, its body not read yet."""

_PROXY_WANTS_LOGIN = 407


@contextmanager
def network_errors(host: str) -> Iterator[None]:
    """Turn whatever the HTTP library raises into our own `NetworkError`."""
    from http.client import HTTPException

    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.SSLError as error:
        asked = urlsplit(getattr(error.request, "url", None) or "").netloc
        raise tls_error(asked or host, error) from None
    except requests.exceptions.ConnectTimeout:
        raise NetworkError(f"{host} does not answer", hint="is the name right?") from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        raise NetworkError(f"{host} stopped answering", hint="try again") from None
    except (requests.exceptions.TooManyRedirects, requests.exceptions.InvalidSchema) as error:
        raise RegistryError(f"{host} redirects to nowhere: {reason(error)}") from None
    except requests.exceptions.ConnectionError as error:
        if not isinstance(error.args[0] if error.args else None, urllib3.exceptions.MaxRetryError):
            raise broken(host, error) from None
        raise NetworkError(
            f"cannot reach {host}: {reason(error)}", hint="is the registry running?"
        ) from None
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        HTTPException,
        OSError,
    ) as error:
        if isinstance(error, OSError) and not isinstance(
            error, (requests.RequestException, ConnectionError, ssl.SSLError)
        ):
            raise
        raise broken(host, error) from None


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
