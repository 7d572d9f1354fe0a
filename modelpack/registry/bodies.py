"""The small bodies of answers: all of one, bounded in size and in time."""

from __future__ import annotations

import time
from contextlib import suppress

from modelpack import limits
from modelpack.errors import NetworkError
from modelpack.registry.exchange import Answer
from modelpack.registry.failures import network_errors


def read_body(response: Answer, host: str, limit: int) -> bytes:
    """Return the body of *response*, of which *host* may send at most *limit* bytes.

    One byte more than *limit* shows that it is longer.

    Raises:
        NetworkError: the connection broke, or a trickle is all that comes.
    """
    data = bytearray()
    began, before = time.monotonic(), 0
    with network_errors(host):
        while block := response.read(min(limits.BLOCK, limit + 1 - len(data))):
            data += block
            if time.monotonic() - began < limits.STALL_S:
                continue
            if len(data) - before < limits.STALL_BYTES:
                raise NetworkError(f"{host} has all but stopped sending", hint="try again")
            began, before = time.monotonic(), len(data)
    return bytes(data)


def start_of(response: Answer, host: str) -> bytes:
    """Return the beginning of a body that only explains; nothing where it does not come."""
    with suppress(NetworkError):
        return read_body(response, host, limits.ERROR_BODY)
    return b""


def release(response: Answer, host: str) -> None:
    """Give the connection back for the next request, if what is left of the body is short.

    What is asked for with GET is read by whoever asked, or was given up.
    """
    length = response.headers.get("Content-Length", "")
    short = length.isascii() and length.isdigit() and len(length) < 10
    if response.method not in ("GET", "HEAD") and short and int(length) <= limits.ERROR_BODY:
        start_of(response, host)
