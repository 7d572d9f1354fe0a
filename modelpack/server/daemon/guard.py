"""Who is let in: by the host that they ask for, the page that asks, and their key. Pure decisions.

Only this machine reaches a loopback address, but so does a web page in a browser on it. A page's
requests name their origin, and a page that had a foreign name resolve to this machine (DNS
rebinding) asks for that name.

See: https://nvd.nist.gov/vuln/detail/CVE-2024-28224
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Final

OPEN: Final = frozenset(("/", "/healthz", "/readyz"))
"""What everybody may ask."""

_MANAGE = frozenset(
    ("/api/pull", "/api/push", "/api/create", "/api/copy", "/api/delete", "/api/blobs")
)
_LOCAL_NAMES = ("localhost", "local", "internal")
_SCHEMES = ("app://", "file://", "tauri://", "vscode-webview://", "vscode-file://")
_LOCAL_ORIGINS = ("localhost", "127.0.0.1", "0.0.0.0", "[::1]")  # noqa: S104 - names of origins


def scope_of(path: str) -> str:
    """Return what a key must allow for *path*; nothing where everybody may ask."""
    if path in OPEN:
        return ""
    if path == "/metrics":
        return "metrics"
    first_two = "/".join(path.split("/")[:3])
    return "manage" if first_two in _MANAGE else "infer"


def is_local_host(header: str) -> bool:
    """Tell whether *header*, a request's `Host`, is a name of this machine or network.

    See: https://github.com/ollama/ollama/blob/main/server/routes.go
    """
    host = _without_port(header.strip().lower())
    if not host:
        return True  # HTTP/1.0, which browsers do not speak
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return address.is_loopback or address.is_private or address.is_unspecified
    return host in ("localhost", socket.gethostname().lower()) or host.endswith(
        tuple(f".{name}" for name in _LOCAL_NAMES)
    )


def is_allowed_origin(origin: str, host: str, more: Sequence[str]) -> bool:
    """Tell whether a page of *origin* may ask; *more* are patterns besides this machine's own."""
    if any(pattern == "*" or fnmatchcase(origin, pattern) for pattern in more):
        return True
    if origin.startswith(_SCHEMES):
        return True
    scheme, separator, place = origin.partition("://")
    if not separator or scheme not in ("http", "https"):
        return False
    return place == host or _without_port(place, brackets=True) in _LOCAL_ORIGINS


def key_of(authorization: str, x_api_key: str) -> str:
    """Return the key that a request shows, as OpenAI's clients or as Anthropic's do."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else x_api_key.strip()


def _without_port(text: str, *, brackets: bool = False) -> str:
    if text.startswith("["):
        host, _, _ = text[1:].partition("]")
        return f"[{host}]" if brackets else host
    return text.rsplit(":", 1)[0] if text.count(":") == 1 else text
