"""Answers of a registry that are almost right: the blob that is asked for, but for one thing."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable

from fakes.registry import FakeRegistry
from fakes.web import Answer, Exchange, serve

_TOO_MANY = 1 << 20
DROP_S = 0.002
"""Seconds between two bytes of a trickle."""


def blob(registry: FakeRegistry, change: Callable[[bytes], bytes] = bytes, **how) -> Answer:
    """Serve the blob as *how* says (see `serve`), *change*d, to whoever may have it."""

    def answer(exchange: Exchange) -> None:
        data = registry.blobs.get(exchange.path.rpartition("/")[2])
        if registry.refuses(exchange):
            return
        if data is None:
            exchange.reply(404)
        else:
            serve(exchange, change(data), **{"ranges": registry.ranges, **how})

    return answer


def flipped(at: int) -> Callable[[bytes], bytes]:
    """Return what changes one bit of the byte *at*, or of the last one."""

    def change(data: bytes) -> bytes:
        damaged = bytearray(data)
        if damaged:
            damaged[min(at, len(data) - 1)] ^= 1
        return bytes(damaged)

    return change


def lie(registry: FakeRegistry, shift: tuple[int, int, int]) -> Answer:
    """Serve the blob, but say that it is the range *shift*ed: its first, last and total."""

    def answer(exchange: Exchange) -> None:
        data = registry.blobs.get(exchange.path.rpartition("/")[2], b"")
        asked = exchange.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if registry.refuses(exchange):
            return
        if not asked[0]:
            serve(exchange, data)
            return
        first, last, total = int(asked[0]) + shift[0], int(asked[2]) + shift[1], len(data)
        serve(exchange, data, said=f"bytes {first}-{last}/{total + shift[2]}")

    return answer


def packed(registry: FakeRegistry) -> Answer:
    """Serve the blob compressed, as some proxies do."""

    def answer(exchange: Exchange) -> None:
        data = registry.blobs.get(exchange.path.rpartition("/")[2], b"")
        if not registry.refuses(exchange):
            exchange.reply(200, gzip.compress(data), Content_Encoding="gzip")

    return answer


def unmeasured(registry: FakeRegistry, cut: int | None = None) -> Answer:
    """Serve the whole blob without saying its length; it ends with the connection, after *cut*."""

    def answer(exchange: Exchange) -> None:
        data = registry.blobs.get(exchange.path.rpartition("/")[2], b"")
        if registry.refuses(exchange):
            return
        exchange.send_response(200)
        exchange.send_header("Connection", "close")
        exchange.end_headers()
        exchange.wfile.write(data[:cut])
        exchange.hang_up()

    return answer


def in_pieces(registry: FakeRegistry, cut: int | None = None) -> Answer:
    """Serve the whole blob in chunks of HTTP; with *cut*, without the last one."""

    def answer(exchange: Exchange) -> None:
        data = registry.blobs.get(exchange.path.rpartition("/")[2], b"")
        if registry.refuses(exchange):
            return
        exchange.send_response(200)
        exchange.send_header("Transfer-Encoding", "chunked")
        exchange.end_headers()
        sent = data[:cut]
        for at in range(0, len(sent), 9_999):
            piece = sent[at : at + 9_999]
            exchange.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        if cut is None:
            exchange.wfile.write(b"0\r\n\r\n")
        else:
            exchange.hang_up()

    return answer


def dripping(head: bytes, drop: bytes, until: threading.Event) -> Answer:
    """Write *head*, and then *drop* again and again with pauses, before *until*."""

    def answer(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.wfile.write(head)
        for _ in range(_TOO_MANY):
            if until.wait(DROP_S):
                break
            exchange.wfile.write(drop)
        exchange.hang_up()

    return answer


def silent(until: threading.Event, sent: bytes = b"") -> Answer:
    """Write *sent*, and then nothing before *until*."""

    def answer(exchange: Exchange) -> None:
        exchange.close_connection = True
        exchange.wfile.write(sent)
        until.wait(60)
        exchange.hang_up()

    return answer


def garbage(exchange: Exchange) -> None:
    """Answer something that is no HTTP."""
    exchange.wfile.write(b"\0\1 220 smtp.example ready\r\n\r\n")
    exchange.hang_up()


def gone(exchange: Exchange) -> None:
    """Hang up without an answer."""
    exchange.hang_up()
