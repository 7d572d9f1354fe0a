"""Which registries a client may have the server talk to: none that only the server could reach.

A name is checked as it is written and as it resolves, and each connection by the address that it
reached: a registry may redirect, and a name may resolve in another way the next time.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Sequence
from fnmatch import fnmatchcase

from modelpack.server.daemon.failures import RefusedError

_METADATA = frozenset(("169.254.169.254", "fd00:ec2::254", "100.100.100.200", "168.63.129.16"))
"""Where clouds tell machines their secrets."""


class Places:
    """Registries whose host matches one of *patterns*, such as `*` or `*.example.com`."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = [pattern.lower() for pattern in patterns]

    def avoids(self, address: str) -> bool:
        """Tell whether no connection to *address* may be used, whatever led to it."""
        return address not in self._patterns and is_forbidden(address)

    async def check(self, host: str) -> None:
        """Check that the registry *host* (with its port) may be asked.

        Raises:
            RefusedError: it may not.
        """
        name = host.lower()
        bare = name.rsplit(":", 1)[0].strip("[]") if not name.endswith("]") else name.strip("[]")
        if not any(fnmatchcase(name, p) or fnmatchcase(bare, p) for p in self._patterns):
            raise RefusedError(403, f"the registry {host} may not be asked by this server")
        if name in self._patterns or bare in self._patterns:
            return  # whoever runs the server has named it
        for address in await _addresses(bare):
            if is_forbidden(address):
                raise RefusedError(403, f"the registry {host} may not be asked by this server")


def is_forbidden(address: str) -> bool:
    """Tell whether *address* is one that no client may have the server talk to."""
    try:
        ip = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return str(ip) in _METADATA or ip.is_link_local or ip.is_multicast or ip.is_unspecified


async def _addresses(host: str) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return []  # whoever connects says so
    return [str(entry[4][0]) for entry in found]
