"""Clients that send or read too little: they are let go, those that are merely slow are not."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import pytest
from support.serving import MODEL, Served, serving, tiny_store
from support.slow import is_dropped, trickle

from modelpack import limits
from modelpack.server import hosting

pytestmark = pytest.mark.model


@pytest.fixture
def impatient(monkeypatch):
    """Servers that give everybody a second."""
    monkeypatch.setattr(limits, "ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr(limits, "BODY_TIMEOUT_S", 1.0)
    monkeypatch.setattr(hosting, "HEAD_TIMEOUT_S", 1.0)
    monkeypatch.setattr(hosting, "VAIN_TIMEOUT_S", 1.0)


@contextmanager
def sending(served: Served, line: str, *headers: str, size: int = 0):
    """Yield a connection on which the head of a request was sent."""
    place = urlsplit(served.url)
    lines = (f"{line} HTTP/1.1", "Host: localhost", *headers, f"Content-Length: {size}", "", "")
    address = (str(place.hostname), int(place.port or 0))
    with socket.create_connection(address, timeout=30) as sock:
        sock.sendall("\r\n".join(lines).encode())
        yield sock


def came(sock):
    """Return one answer, an object in JSON."""
    answer = b""
    while not answer.endswith(b"}") and (block := sock.recv(65536)):
        answer += block
    return answer


def test_who_trickles_is_dropped_and_holds_no_place(tmp_path, impatient):
    with serving(tiny_store(tmp_path), MODELPACK_NUM_PARALLEL="1") as served:
        with sending(served, "POST /api/chat", size=100) as sock:
            sock.sendall(b"{")
            assert sock.recv(65536).startswith(b"HTTP/1.1 408")
        place = urlsplit(served.url)
        with socket.create_connection((place.hostname, place.port), timeout=30) as sock:
            sock.sendall(b"POST /api/chat HTTP/1.1\r\nHost: localhost\r\n")
            assert sock.recv(65536) == b""
        assert served.post("/api/chat", model=MODEL, messages=[])["done_reason"] == "load"


def test_who_sent_much_quickly_may_not_trickle_for_long(own, impatient):
    with sending(own, "POST /api/chat", size=2**24) as sock:
        sock.sendall(b" " * 2**20)  # a minute's worth
        _, answer = trickle(sock, b" ")
    assert answer.startswith(b"HTTP/1.1 408")


def test_who_sends_slowly_may_send_everything(own, impatient):
    body = json.dumps({"model": MODEL}).encode() + b" " * 50_000
    with sending(own, "POST /api/show", size=len(body)) as sock:
        for start in range(0, len(body), 1_000):
            sock.sendall(body[start : start + 1_000])
            time.sleep(0.05)
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(("rest", "size"), [(b"x", 100_000), (b"\r\n", 0)])
def test_who_sends_on_after_the_answer_is_let_go(own, impatient, rest, size):
    with sending(own, "GET /api/version", size=size) as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            for _ in range(200):
                sock.sendall(rest)
                time.sleep(0.05)


def test_who_reads_nothing_of_an_answer_that_is_there_is_let_go(own, impatient):
    own.post("/api/create", model="wordy", **{"from": MODEL, "license": "x" * 4_000_000})
    body = b'{"model": "wordy"}'
    with sending(own, "POST /api/show", size=len(body)) as sock:
        sock.sendall(body)
        assert is_dropped(sock)


def test_who_says_nothing_between_two_requests_may_stay(own, impatient):
    with sending(own, "GET /api/version") as sock:
        assert came(sock).startswith(b"HTTP/1.1 200")
        threading.Event().wait(3.0)
        sock.sendall(b"GET /api/version HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert came(sock).startswith(b"HTTP/1.1 200")
