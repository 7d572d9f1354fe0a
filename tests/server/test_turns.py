"""Clients that come again while the registry still waits for what they began to send."""

from __future__ import annotations

import random
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from server.conftest import digest_of
from server.test_uploads import finish, patch
from server.test_zerocopy import comes_true

from modelpack.server.registry.answers import Body
from modelpack.server.registry.storage.uploads import Appending

DATA = random.Random(2).randbytes(5_000_000)
SOON_S = 5.0


@contextmanager
def stalled(client, location, start, stop, method="PATCH"):
    """A request that says it sends all from *start* on, and stops at *stop*; its connection."""
    before = arrived(client, location)
    with socket.create_connection(client.address, timeout=30) as sock:
        head = f"{method} {location} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(DATA) - start}\r\n"
        sock.sendall(head.encode() + b"\r\n" + DATA[start:stop])
        assert comes_true(lambda: arrived(client, location) == before + stop - start)
        yield sock


def arrived(client, location):
    answer = client.ask("GET", location)
    assert answer.status_code == 204
    last = int(answer.headers["Range"].removeprefix("0-"))
    return last + 1 if last else 0


def is_broken_off(sock):
    received = b""
    while block := sock.recv(65536):
        received += block
    return received.startswith(b"HTTP/1.1 409")


def test_how_far_an_upload_is_is_told_while_a_request_waits(client):
    location = client.begin()
    with stalled(client, location, 0, 3_000):
        begun = time.monotonic()
        assert arrived(client, location) == 3_000
        assert time.monotonic() - begun < SOON_S
        answer = client.ask("GET", location.replace("demo/a", "demo/b"))
        assert answer.status_code == 404


@pytest.mark.parametrize("stop", [2, 3_000, 1_500_000, 4_999_999])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_who_comes_again_goes_on_where_the_stalled_request_is(client, stop, method):
    location = client.begin()
    stalled_at = f"{location}?digest={digest_of(DATA)}" if method == "PUT" else location
    begun = time.monotonic()
    with stalled(client, stalled_at, 0, stop, method) as sock:
        answer = patch(client, location, DATA[stop:], stop)
        assert (answer.status_code, answer.headers["Range"]) == (202, f"0-{len(DATA) - 1}")
        assert is_broken_off(sock)
    assert finish(client, location, DATA).status_code == 201
    assert client.ask("GET", f"/v2/demo/a/blobs/{digest_of(DATA)}").content == DATA
    assert time.monotonic() - begun < SOON_S


def test_the_last_request_may_take_the_place_of_a_stalled_one(client):
    location = client.begin()
    patch(client, location, DATA[:1_000_000], 0)
    with stalled(client, location, 1_000_000, 2_500_000) as sock:
        assert finish(client, location, DATA, DATA[2_500_000:]).status_code == 201
        assert is_broken_off(sock)


def test_who_comes_again_at_another_byte_is_told_the_right_one(client):
    location = client.begin()
    with stalled(client, location, 0, 2_000_000):
        answer = patch(client, location, DATA[1_000_000:], 1_000_000)
        assert (answer.status_code, answer.headers["Range"]) == (416, "0-1999999")
    assert patch(client, location, DATA[2_000_000:], 2_000_000).status_code == 202
    assert finish(client, location, DATA).status_code == 201


def test_an_upload_can_be_cancelled_while_a_request_waits(client):
    location = client.begin()
    begun = time.monotonic()
    with stalled(client, location, 0, 3_000):
        assert client.ask("DELETE", location).status_code == 204
    assert client.ask("GET", location).status_code == 404
    assert time.monotonic() - begun < SOON_S


def test_each_takes_the_place_of_the_one_before(client):
    location = client.begin()
    with (
        stalled(client, location, 0, 1_000) as first,
        stalled(client, location, 1_000, 2_000_000) as second,
        stalled(client, location, 2_000_000, 2_000_001) as third,
    ):
        assert patch(client, location, DATA[2_000_001:], 2_000_001).status_code == 202
        assert all(is_broken_off(sock) for sock in (first, second, third))
    assert finish(client, location, DATA).status_code == 201


def test_a_request_that_has_all_of_its_body_is_waited_for(client, monkeypatch):
    """Of those that wait for it the newest goes on, and the others are told."""
    began, may_end, write, break_off = [], threading.Event(), Appending.write, Body.break_off

    def slow(self, blocks):
        began.append(self)
        assert may_end.wait(20)
        write(self, blocks)

    def counted(self):
        began.append(self)
        break_off(self)

    monkeypatch.setattr(Appending, "write", slow)
    monkeypatch.setattr(Body, "break_off", counted)
    location, answers = client.begin(), {}

    def send(start, stop):
        head = f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Range: {start}-{stop - 1}\r\n"
        head += f"Content-Length: {stop - start}\r\nConnection: close\r\n\r\n"
        with socket.create_connection(client.address, timeout=30) as sock:
            sock.sendall(head.encode() + DATA[start:stop])
            answers[start] = sock.recv(65536).split()[1]

    threads = [threading.Thread(target=send, args=part) for part in ((0, 10), (5, 10), (10, 20))]
    for number, thread in enumerate(threads, 1):
        thread.start()
        assert comes_true(lambda count=number: len(began) == count)
    may_end.set()
    for thread in threads:
        thread.join(30)
    assert answers == {0: b"202", 5: b"409", 10: b"202"}
    assert arrived(client, location) == 20
