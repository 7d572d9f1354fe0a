"""Reading large blobs: the kernel sends them where it can, and nobody sees a difference."""

from __future__ import annotations

import errno
import http.client
import os
import random
import socket
import struct
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from server.conftest import Client

from modelpack.server.registry import RegistrySettings, listener, running, zerocopy

DATA = random.Random(1).randbytes(20_000_000)


@pytest.fixture
def pieces(monkeypatch):
    """What the kernel was asked to send: a list of counts."""
    asked, real = [], os.sendfile

    def sendfile(to, file, at, count):
        asked.append(count)
        return real(to, file, at, count)

    monkeypatch.setattr(os, "sendfile", sendfile)
    return asked


@pytest.fixture
def url(client):
    return f"/v2/demo/a/blobs/{client.push(DATA)}"


@contextmanager
def asking(address, *requests, headers="", abruptly=False):
    """A client that has sent *requests*, and reads little by little if at all."""
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        if abruptly:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.settimeout(30)
        sock.connect(address)
        head = f" HTTP/1.1\r\nHost: x\r\n{headers}\r\n"
        sock.sendall("".join(line + head for line in requests).encode())
        yield sock


def answer(file):
    """The next answer that *file* has to a GET: its status and body."""
    status, length = int(file.readline().split()[1]), 0
    while line := file.readline().strip():
        name, _, value = line.partition(b":")
        length = int(value) if name.lower() == b"content-length" else length
    return status, file.read(length)


def being_read(root):
    """How many times blobs are open in this process."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += str(link.readlink()).startswith(str(root / "blobs"))
        except FileNotFoundError:
            continue
    return found


def comes_true(condition):
    until = time.monotonic() + 10
    while not (met := condition()) and time.monotonic() < until:
        time.sleep(0.01)
    return met


@pytest.mark.parametrize(
    ("asked", "status", "start", "stop"),
    [(None, 200, 0, 20_000_000), ("5-", 206, 5, 20_000_000), ("0-0", 206, 0, 1),
     ("-70001", 206, 19_929_999, 20_000_000), ("100-9000000", 206, 100, 9_000_001)],
)  # fmt: skip
def test_the_kernel_sends_exactly_what_was_asked_for(
    client, url, pieces, asked, status, start, stop
):
    answer = client.ask("GET", url, headers={"Range": f"bytes={asked}"} if asked else {})
    assert (answer.status_code, answer.headers["Content-Length"]) == (status, str(stop - start))
    assert answer.content == DATA[start:stop]
    assert pieces


def test_a_small_blob_and_a_head_need_no_kernel(client, url, pieces):
    small = client.push(b"small")
    assert client.ask("GET", f"/v2/demo/a/blobs/{small}").content == b"small"
    assert client.ask("HEAD", url).headers["Content-Length"] == str(len(DATA))
    assert not pieces


def test_without_the_extension_the_bytes_are_the_same(client, url, pieces, monkeypatch):
    monkeypatch.setattr(zerocopy, "is_possible", lambda transport, loop: False)
    client.session.close()
    assert client.ask("GET", url, headers={"Range": "bytes=7-9999999"}).content == DATA[7 : 10**7]
    assert client.ask("GET", url).content == DATA
    assert not pieces


def test_a_file_system_that_cannot_is_read_instead(client, url, monkeypatch):
    def unable(*_):
        raise OSError(errno.EINVAL, "no")

    monkeypatch.setattr(os, "sendfile", unable)
    assert client.ask("GET", url).content == DATA


def test_a_connection_answers_on_after_a_large_body(client, url):
    small = f"/v2/demo/a/blobs/{client.push(b'small')}"
    connection = http.client.HTTPConnection(*client.address, timeout=30)
    sockets = set()
    for method, path, expected in [
        ("GET", url, DATA), ("GET", small, b"small"), ("HEAD", url, b""), ("GET", "/v2/", b"{}"),
        ("GET", url, DATA),
    ]:  # fmt: skip
        connection.request(method, path)
        assert connection.getresponse().read() == expected
        sockets.add(connection.sock)
    assert None not in sockets
    assert len(sockets) == 1
    connection.close()


def test_requests_sent_ahead_are_answered_in_order(client, url):
    small = f"/v2/demo/a/blobs/{client.push(b'small')}"
    ahead = [f"GET {path}" for path in (url, small, url, "/v2/", url)]
    with asking(client.address, *ahead) as sock, sock.makefile("rb") as file:
        time.sleep(0.3)  # all that fits is on its way, and answers wait for their turn
        for expected in (DATA, b"small", DATA, b"{}", DATA):
            assert answer(file) == (200, expected)


def test_the_kernel_does_not_overtake_what_was_written_before(root, session, monkeypatch):
    listening = socket.create_server

    def narrow(*arguments, **options):
        sock = listening(*arguments, **options)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # connections inherit it
        return sock

    monkeypatch.setattr(socket, "create_server", narrow)
    with running(RegistrySettings(root=root, listen="127.0.0.1:0")) as base:
        client = Client(base, session)
        large, small = client.push(DATA), client.push(DATA[:60_000])
        session.close()
        ahead = [f"GET /v2/demo/a/blobs/{digest}" for digest in (small, large)] * 5
        part = "Range: bytes=0-49999\r\n"
        with asking(client.address, *ahead, headers=part) as sock, sock.makefile("rb") as file:
            for _ in ahead:
                assert answer(file) == (206, DATA[:50_000])


def test_slow_clients_get_everything_one_after_the_other(client, url, root):
    for _ in range(5):
        with asking(client.address, f"GET {url}") as sock, sock.makefile("rb") as file:
            time.sleep(0.05)
            assert answer(file) == (200, DATA)
        assert comes_true(lambda: being_read(root) == 0)
        time.sleep(0.05)


def test_clients_that_do_not_read_keep_nobody_waiting(client, url, root):
    waiting = [asking(client.address, f"GET {url}") for _ in range(60)]
    for one in waiting:
        one.__enter__()
    assert comes_true(lambda: being_read(root) == len(waiting))
    assert client.ask("GET", url).content == DATA
    for one in waiting:
        one.__exit__(None, None, None)
    assert comes_true(lambda: being_read(root) == 0)


@pytest.mark.parametrize("abruptly", [False, True])
@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("ahead", [1, 3])
def test_a_client_that_leaves_is_forgotten_without_a_word(
    client, url, root, caplog, abruptly, begun, ahead
):
    for _ in range(5):
        with asking(client.address, *[f"GET {url}"] * ahead, abruptly=abruptly) as sock:
            if begun:
                sock.recv(1000)
    assert client.ask("GET", url).content == DATA
    assert comes_true(lambda: being_read(root) == 0)
    assert [record.message for record in caplog.records if record.name != "urllib3"] == []


def test_a_client_that_says_it_is_done_is_let_go(client, url, root):
    with asking(client.address, f"GET {url}") as sock:
        assert comes_true(lambda: being_read(root) == 1)
        sock.shutdown(socket.SHUT_WR)
        assert comes_true(lambda: being_read(root) == 0)


def test_a_blob_that_is_deleted_while_it_is_read_is_read_to_its_end(client, url, root):
    with asking(client.address, f"GET {url}") as sock, sock.makefile("rb") as file:
        assert comes_true(lambda: being_read(root) == 1)
        assert client.ask("DELETE", url).status_code == 202
        assert not list((root / "blobs").rglob("data"))
        assert answer(file) == (200, DATA)


def test_a_file_that_is_cut_short_ends_the_connection(client, url, root):
    (stored,) = (root / "blobs").rglob("data")
    with asking(client.address, f"GET {url}") as sock, sock.makefile("rb") as file:
        assert comes_true(lambda: being_read(root) == 1)
        os.truncate(stored, 12_000_000)
        body = answer(file)[1]
        assert file.read() == b""
    assert DATA.startswith(body)
    assert len(body) == 12_000_000


def test_the_end_does_not_wait_for_a_client_that_does_not_read(root, session, monkeypatch):
    monkeypatch.setattr(listener, "SHUTDOWN_S", 0)
    with running(RegistrySettings(root=root, listen="127.0.0.1:0")) as base:
        client = Client(base, session)
        url = f"/v2/demo/a/blobs/{client.push(DATA)}"
        session.close()
        stuck = asking(client.address, f"GET {url}")
        stuck.__enter__()
        assert comes_true(lambda: being_read(root) == 1)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    assert being_read(root) == 0
    stuck.__exit__(None, None, None)


def test_files_and_sockets_stay_open_until_the_kernel_has_let_go(root, session, monkeypatch):
    monkeypatch.setattr(listener, "SHUTDOWN_S", 0)
    begun, kept = threading.Event(), []

    def sendfile(to, file, *_):
        begun.set()
        time.sleep(0.3)
        kept.append((os.fstat(to), os.fstat(file)))
        raise BlockingIOError

    with running(RegistrySettings(root=root, listen="127.0.0.1:0")) as base:
        client = Client(base, session)
        url = f"/v2/demo/a/blobs/{client.push(DATA)}"
        session.close()
        monkeypatch.setattr(os, "sendfile", sendfile)
        stuck = asking(client.address, f"GET {url}")
        stuck.__enter__()
        assert begun.wait(10)
    assert len(kept) == 1
    stuck.__exit__(None, None, None)
