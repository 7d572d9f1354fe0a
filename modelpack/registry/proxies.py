"""Which proxy a request goes through, as the environment says.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` count in lower and upper case. This machine
is always reached directly. No password of a proxy ever appears in an error.

See: https://pkg.go.dev/golang.org/x/net/http/httpproxy
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from modelpack.errors import InputError

_SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy, and the variable that names it."""

    url: str = field(repr=False)
    name: str
    """Its host and port, for people."""
    variable: str

    @property
    def scheme(self) -> str:
        """How to talk to it."""
        return urlsplit(self.url).scheme


def proxy_for(url: str, environment: Mapping[str, str]) -> Proxy | None:
    """Return the proxy for *url*, or None for a direct connection.

    Raises:
        InputError: the variable holds no URL of a proxy.
    """
    target = urlsplit(url)
    for name in (f"{target.scheme}_proxy", "all_proxy"):
        for variable in (name, name.upper()):
            said = environment.get(variable, "").strip()
            if said:
                passes = is_loopback(target.netloc) or _is_excepted(url, environment)
                return None if passes else _parse(said, variable)
    return None


def is_loopback(host: str) -> bool:
    """Tell whether *host* (with or without port) is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name in ("localhost", "127.0.0.1"):
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _parse(said: str, variable: str) -> Proxy:
    url = said if "://" in said else f"http://{said}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refusal(variable) from None
    outside = f"{parts.path}{parts.query}{parts.fragment}"
    if parts.scheme not in _SCHEMES or not parts.hostname or "@" in outside:
        raise _refusal(variable)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return Proxy(url, f"{host}:{port}" if port else host, variable)


def _refusal(variable: str) -> InputError:
    return InputError(
        f"{variable} is not the URL of a proxy",
        hint="http://[USER:PASSWORD@]HOST:PORT, with %-escapes for special characters",
    )


def _is_excepted(url: str, environment: Mapping[str, str]) -> bool:
    said = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
    parts = urlsplit(url)
    host = (parts.hostname or "").rstrip(".")
    port = parts.port or _PORTS.get(parts.scheme)
    entries = (entry.strip().lower() for entry in said.split(","))
    return any(_fits(entry, host, port) for entry in entries if entry)


def _fits(entry: str, host: str, port: int | None) -> bool:
    """Tell whether *entry* of NO_PROXY means *host*: `*`, an address, a network or a domain."""
    if entry == "*":
        return True
    import ipaddress

    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry, strict=False)
    except ValueError:
        pass  # one of them is a name, or has a port
    name, colon, wanted = entry.rpartition(":")
    if colon and wanted.isdecimal():
        if int(wanted) != port:
            return False
        entry = name.strip("[]")
    domain = entry.removeprefix("*").lstrip(".")
    return host == domain or host.endswith(f".{domain}")
