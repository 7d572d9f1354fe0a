"""What the embedded registry is told at its start, and the bounds it sets itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from modelpack.errors import InputError

BATCH = 1024 * 1024
"""Bytes of an upload that are gathered before a thread writes and hashes them."""
BLOCK = 256 * 1024
"""Bytes of a blob that are read and sent at a time, where the kernel cannot send files."""
PIECE = 8 * 1024 * 1024
"""Bytes of a blob that the kernel is asked to send at a time."""
SMALL = 64 * 1024
"""A blob up to this size is read at once."""
BODY_TIMEOUT_S = 60.0
"""How long a client may pause inside a body."""
CONNECTIONS = 1024
"""Connections at a time."""
PAGE = 1000
"""Entries in one page of referrers."""
STALE_UPLOAD_S = 7 * 24 * 3600.0
"""Age at which an unfinished upload is thrown away: at the start, and by the collector."""
STALE_TEMPORARY_S = 3600.0
"""Age at which the collector throws a temporary file away."""
GRACE_S = 24 * 3600.0
"""What came less long ago is not collected: a push may need it yet."""
SHUTDOWN_S = 5
"""How long running requests may go on after the registry was told to end."""

_PORTS = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Where to listen, where to store, whom to let in."""

    root: Path
    """The folder that holds everything; made if it is not there."""
    listen: str = "127.0.0.1:5000"
    """`host:port`; port 0 takes a free one."""
    htpasswd: Path | None = None
    """A file of `user:bcrypt` lines; without it everybody may do everything."""
    tls_cert: Path | None = None
    """Certificate chain in PEM; needs `tls_key`."""
    tls_key: Path | None = None
    gc_every_s: float = 0.0
    """Seconds between two collections of what nobody needs; 0 for none."""
    gc_grace_s: float = GRACE_S
    """Age below which nothing is collected."""

    def address(self) -> tuple[str, int]:
        """Return host and port of `listen`, or raise `InputError`."""
        host, colon, port = self.listen.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (colon and host and port.isascii() and port.isdigit()) or int(port) >= _PORTS:
            raise InputError(
                f"not an address to listen on: {self.listen!r}",
                hint="host:port, such as 127.0.0.1:5000",
            )
        return host, int(port)

    def check(self) -> None:
        """Raise `InputError` where the settings contradict each other or name missing files."""
        self.address()
        if (self.tls_cert is None) != (self.tls_key is None):
            raise InputError(
                "a certificate needs its key", hint="give both --tls-cert and --tls-key"
            )
        for path in (self.htpasswd, self.tls_cert, self.tls_key):
            if path is not None and not path.is_file():
                raise InputError(f"no such file: {path}")
