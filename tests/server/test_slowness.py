"""Clients that send or read too little: they are let go, those that are merely slow are not."""

from __future__ import annotations

import random
import socket
import time

import pytest
from server.test_zerocopy import asking, being_read, comes_true
from support.slow import is_dropped, trickle

from modelpack import limits
from modelpack.server import hosting, patience
from modelpack.server.registry import answers, zerocopy

DATA = random.Random(3).randbytes(8_000_000)


@pytest.fixture
def url(client):
    return f"/v2/demo/a/blobs/{client.push(DATA)}"


@pytest.fixture
def impatient(monkeypatch):
    """A registry that gives everybody a second."""
    monkeypatch.setattr(limits, "ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr(hosting, "VAIN_TIMEOUT_S", 1.0)
    monkeypatch.setattr(answers, "BODY_TIMEOUT_S", 1.0)


@pytest.mark.parametrize("by_kernel", [True, False])
def test_who_reads_nothing_is_let_go(client, url, root, impatient, monkeypatch, by_kernel):
    if not by_kernel:
        monkeypatch.setattr(zerocopy, "is_possible", lambda transport, loop: False)
    with asking(client.address, f"GET {url}") as sock:
        assert is_dropped(sock)
        assert comes_true(lambda: being_read(root) == 0)
    assert client.ask("GET", url).content == DATA


def test_who_reads_no_small_answers_is_let_go(client, impatient):
    small = f"/v2/demo/a/blobs/{client.push(DATA[:60_000])}"
    with asking(client.address, *[f"GET {small}"] * 200) as sock:
        assert is_dropped(sock)


def test_who_reads_a_little_now_and_then_is_let_go(client, url, root, monkeypatch):
    monkeypatch.setattr(patience, "SLOWEST", 1_000_000)
    monkeypatch.setattr(patience, "READER_WINDOW_S", 2.0)
    with asking(client.address, f"GET {url}") as sock, pytest.raises(ConnectionError):
        for _ in range(200):
            assert sock.recv(1_000)
            time.sleep(0.05)


def test_who_reads_slowly_gets_everything(client, url, impatient, monkeypatch):
    monkeypatch.setattr(patience, "READER_WINDOW_S", 1.0)
    received = bytearray()
    with asking(client.address, f"GET {url}", headers="Connection: close\r\n") as sock:
        began = time.monotonic()
        while block := sock.recv(4_000 if time.monotonic() - began < 4 else 1_000_000):
            received += block
            if time.monotonic() - began < 4:
                time.sleep(0.05)
    assert received.endswith(DATA)


def test_who_sends_a_little_now_and_then_is_refused_and_what_came_is_kept(client, impatient):
    location = client.begin()
    head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n"
    with socket.create_connection(client.address, timeout=30) as sock:
        sock.sendall(head.encode())
        sent, answer = trickle(sock, b"x")
    assert answer.startswith(b"HTTP/1.1 408")
    assert 10 <= int(client.ask("GET", location).headers["Range"][2:]) + 1 <= sent < 100


def test_who_sends_slowly_may_send_everything(client, impatient):
    location = client.begin()

    def slowly():
        for _ in range(50):
            time.sleep(0.05)
            yield b"x" * 200
        time.sleep(0.5)
        yield b"x"

    answer = client.ask("PATCH", location, data=slowly())
    assert (answer.status_code, answer.headers["Range"]) == (202, "0-10000")


@pytest.mark.parametrize("rest", [b"x", b"\r\n"])
def test_who_sends_on_after_the_answer_is_let_go(client, impatient, rest):
    length = 100_000 if rest == b"x" else 0
    head = f"GET /v2/ HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
    with socket.create_connection(client.address, timeout=30) as sock:
        sock.sendall(head.encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        with pytest.raises(ConnectionError):
            for _ in range(200):
                sock.sendall(rest)
                time.sleep(0.05)
