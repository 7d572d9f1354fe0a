"""Where our server listens, and where its clients find it, as `OLLAMA_HOST` writes it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from modelpack.errors import InputError

PORT = 11434
_DEFAULT_PORTS = {"": PORT, "http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Address:
    """A host and a port, and what a URL says besides."""

    host: str = "127.0.0.1"
    port: int = PORT
    scheme: str = "http"
    path: str = ""
    """A path before every route, without a slash at its end."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def for_clients(self) -> Address:
        """The address that a client on this machine asks where a server listens everywhere."""
        try:
            everywhere = ipaddress.ip_address(self.host).is_unspecified
        except ValueError:
            everywhere = False
        if not everywhere:
            return self
        host = "::1" if ":" in self.host else "127.0.0.1"
        return Address(host, self.port, self.scheme, self.path)

    @property
    def url(self) -> str:
        """The address as a URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return what *text* means: `host`, `:port`, `host:port`, `[v6]:port` or a URL.

    Raises:
        InputError: it is no address.

    See: https://github.com/ollama/ollama/blob/main/envconfig/config.go
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "", text.strip()
    if scheme not in _DEFAULT_PORTS:
        raise _bad(text)
    if rest.count(":") > 1 and not rest.startswith("["):  # a bare IPv6 address
        host, slash, path = rest.partition("/")
        rest = f"[{host}]{slash}{path}"
    try:
        parts = urlsplit(f"//{rest}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError:
        raise _bad(text) from None
    if parts.username or parts.query or parts.fragment or not _is_host(host):
        raise _bad(text)
    return Address(
        host,
        _DEFAULT_PORTS[scheme] if port is None else port,
        scheme or "http",
        parts.path.rstrip("/"),
    )


def _is_host(host: str) -> bool:
    return host.isascii() and all(c.isalnum() or c in ".-_:%" for c in host)


def _bad(text: str) -> InputError:
    return InputError(
        f"not an address: {text[:100]!r}", hint="host:port, such as 127.0.0.1:11434, or a URL"
    )
