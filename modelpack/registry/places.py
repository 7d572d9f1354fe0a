"""Addresses that a registry names: of an upload, of tokens, of the next page. Pure."""

from __future__ import annotations

from urllib.parse import urljoin, urlsplit

from modelpack.errors import RegistryError

_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_PORTS = {"http": 80, "https": 443}
_SHOWN = 100


def real_name(host: str) -> str:
    """Return under which name the registry *host* is reached."""
    return _HUB.get(host, host)


def named(host: str, base: str, address: str) -> str:
    """Return the URL that *host* means by *address* in its answer for *base*.

    Raises:
        RegistryError: it is none of HTTP.
    """
    try:
        url = urljoin(base, address)
        parts = urlsplit(url)
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    else:
        if parts.scheme not in _PORTS:
            raise RegistryError(f"{host} sent us to {parts.scheme}:, which is not HTTP")
    if not sound:
        raise RegistryError(f"{host} sent us to {address[:_SHOWN]!r}, which is no address")
    return url


def is_same(one: str, other: str) -> bool:
    """Tell whether two URLs are of one server: scheme, host and port."""
    return urlsplit(one)[:2] == urlsplit(other)[:2] or _server(one) == _server(other)


def described(host: str, url: str) -> str:
    """Return how errors call the server of *url*, which the registry *host* has sent us to."""
    place = urlsplit(url).netloc.rpartition("@")[2]
    if not place or place.lower() in (host.lower(), real_name(host).lower()):
        return host
    return f"{place} (where {host} sent us)"


def _server(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
