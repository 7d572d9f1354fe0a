"""Our own HTTP: what it understands, what it leaves to the library, whom it talks to again."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from contextlib import closing, suppress
from typing import Self

import pytest
from fakes.models import serve_model
from fakes.web import FakeServer, says

from modelpack import limits
from modelpack.errors import NetworkError
from modelpack.ops.pull import pull
from modelpack.registry.contexts import Contexts
from modelpack.registry.direct import Direct, OddError
from modelpack.registry.exchange import Body, Request
from modelpack.registry.trust import Trust
from modelpack.registry.ways import Ways
from modelpack.registry.wire import Sockets

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Scripted:
    """A server that answers each request with the next of *answers*, whatever it is."""

    def __init__(self, *answers: bytes, hang_up: bool = False) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.answers = list(answers)
        self.connections = 0
        self.heads: list[bytes] = []
        self._hangs_up = hang_up
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        for one in self._open:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        for one in (*self._open, self._listener):
            one.close()

    def _serve(self) -> None:
        try:
            while True:
                one, _ = self._listener.accept()
                self._open.append(one)
                self.connections += 1
                self._talk(one)
        except OSError:
            return

    def _talk(self, one: socket.socket) -> None:
        came = b""
        while data := one.recv(65536):
            came += data
            if b"\r\n\r\n" not in came:
                continue
            self.heads.append(came)
            came = b""
            one.sendall(self.answers.pop(0))
            if self._hangs_up:
                one.close()
                return


@pytest.fixture
def direct():
    ways = Ways(Contexts(Trust), Sockets(), {})
    with closing(Direct("registry.example", "registry.example", ways)) as direct:
        yield direct


def ask(server, path="/x", method="GET", timeout_s=5.0, **said):
    return Request(method, f"http://{server.host}{path}", {}, timeout_s, **said)


def body_of(answer):
    with closing(answer):
        found = b""
        while data := answer.read(1000):
            found += data
        return found


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK, b"body"),
        (CHUNKED + b"4\r\nbody\r\n0\r\n\r\n", b"body"),
        (CHUNKED + b"2;x=y\r\nbo\r\n2\r\ndy\r\n00\r\nX: y\r\n\r\n", b"body"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nX: y\r\n\r\n" + OK, b"body"),
    ],
)
def test_a_connection_whose_answer_was_read_is_used_again(direct, answer, body):
    with Scripted(answer, OK) as server:
        assert body_of(direct.send(ask(server))) == body
        assert body_of(direct.send(ask(server))) == b"body"
        assert server.connections == 1


@pytest.mark.parametrize(
    "answer", [OK + b"more", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody"]
)
def test_a_connection_that_may_say_something_else_is_not_used_again(direct, answer):
    with Scripted(answer, OK, hang_up=True) as server:
        assert body_of(direct.send(ask(server))) == b"body"
        assert body_of(direct.send(ask(server))) == b"body"
        assert server.connections == 2


def test_an_answer_that_is_not_read_to_its_end_ends_its_connection(direct):
    with Scripted(OK, OK, hang_up=True) as server:
        with closing(direct.send(ask(server))) as answer:
            assert answer.read(3) == b"bod"
        assert body_of(direct.send(ask(server))) == b"body"
        assert server.connections == 2


@pytest.mark.parametrize(
    "tail",
    [
        b"4\r\nbo",
        b"4\r\nbody",
        b"4\r\nbody!\r\n0\r\n\r\n",
        b"-4\r\nbody\r\n0\r\n\r\n",
        b"\r\nbody",
        b"0x4\r\nbody\r\n0\r\n\r\n",
        b"f" * 16 + b"\r\nbody",
        b"4" * 5000,
        b"4\r\nbody\r\n0\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
def test_chunks_that_are_not_whole_are_a_broken_connection(direct, tail):
    with (
        Scripted(CHUNKED + tail, hang_up=True) as server,
        pytest.raises(ConnectionError),
    ):
        body_of(direct.send(ask(server)))


def test_a_body_that_is_cut_says_how_much_is_missing(direct):
    with (
        Scripted(OK[:-1], hang_up=True) as server,
        pytest.raises(ConnectionError, match="1 bytes are missing"),
    ):
        body_of(direct.send(ask(server)))


ODD = [
    b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\n folded: y\r\n\r\n",
    b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n",
]


@pytest.mark.parametrize("answer", ODD)
def test_what_is_framed_oddly_is_for_the_library_where_it_can_be_asked_again(direct, answer):
    with Scripted(answer, answer) as server, pytest.raises(OddError):
        direct.send(ask(server))
    with Scripted(answer) as server, pytest.raises(ConnectionError):
        direct.send(ask(server, method="POST"))


def test_an_answer_is_waited_for_as_long_as_was_asked(direct, monkeypatch):
    monkeypatch.setattr(limits, "READ_TIMEOUT_S", 60.0)
    with Scripted(b"HTTP/1.1 200 OK\r\n") as server, pytest.raises(TimeoutError):
        direct.send(ask(server, timeout_s=0.2))
    monkeypatch.setattr(limits, "READ_TIMEOUT_S", 0.2)
    late = threading.Event()
    with FakeServer() as server:
        server.answer = lambda exchange: late.wait(0.5) or exchange.reply(200, b"body")
        assert body_of(direct.send(ask(server, timeout_s=30.0))) == b"body"


def test_chunks_that_trickle_end(direct, monkeypatch):
    monkeypatch.setattr(limits, "STALL_S", -1.0)
    with (
        Scripted(CHUNKED) as server,
        closing(direct.send(ask(server))) as answer,
        pytest.raises(TimeoutError),
    ):
        answer.read(1)


def test_redirects_are_for_the_library(direct):
    answer = b"HTTP/1.1 307 Over there\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n"
    with Scripted(answer, answer) as server:
        with pytest.raises(OddError):
            direct.send(ask(server, follow=True))
        with closing(direct.send(ask(server))) as answer:
            assert answer.status_code == 307


def test_what_is_packed_on_the_way_is_for_the_library(direct):
    packed = OK.replace(b"200 OK", b"200 OK\r\nContent-Encoding: gzip")
    with Scripted(packed) as server, pytest.raises(OddError):
        direct.send(ask(server))


@pytest.mark.parametrize(
    "url",
    [
        "http://user:word@{}/x",
        "http://{}/x#y",
        "http://{}/x y",
        "http://{}/\xfc",
        "http://{}/x\r\nHost: there",
        "ftp://{}/x",
        "http://{}\\x",
    ],
)
def test_an_odd_url_is_for_the_library(direct, url):
    with Scripted() as server:
        with pytest.raises(OddError):
            direct.send(Request("GET", url.format(server.host), {}, 5.0))
        assert server.heads == []


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\nb", "\xfc", "\0"])
def test_an_odd_header_is_never_sent(direct, value):
    with Scripted() as server:
        with pytest.raises(OddError):
            direct.send(Request("GET", f"http://{server.host}/", {"X": value}, 5.0))
        assert server.heads == []


def test_a_head_that_trickles_in_is_given_up(direct, monkeypatch):
    over = threading.Event()

    def trickle(exchange):
        exchange.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not over.wait(0.02):
            exchange.wfile.write(b"X: y\r\n")

    with FakeServer() as server:
        server.instead("GET", "/x", trickle)
        with pytest.raises(TimeoutError):
            direct.send(ask(server, timeout_s=0.2))
        over.set()


def test_a_head_without_end_is_refused(direct, monkeypatch):
    monkeypatch.setattr(limits, "ANSWER_HEAD", 1000)
    endless = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000
    with Scripted(endless) as server, pytest.raises(OddError):
        direct.send(ask(server))


def test_an_answer_that_comes_before_the_body_is_taken_counts(direct):
    with FakeServer() as server:
        server.instead("PUT", "/x", says(413, b"too large", Connection="close"), early=True)
        pieces = Body(lambda: iter([b"x" * limits.MiB] * 64), 64 * limits.MiB)
        with closing(direct.send(ask(server, method="PUT", body=pieces))) as answer:
            assert answer.status_code == 413


def test_who_is_not_there_is_named(direct):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    said = rf"cannot reach 127.0.0.1:{port} \(where registry.example sent us\): Connection refused"
    with pytest.raises(NetworkError, match=said):
        direct.send(Request("GET", f"http://127.0.0.1:{port}/", {}, 5.0))


def test_what_one_thread_reads_no_other_one_is_given(direct):
    with FakeServer() as server:
        server.answer = lambda exchange: exchange.reply(200, exchange.path.encode() * 1000)
        wrong: list[str] = []

        def many(number):
            for turn in range(50):
                path = f"/{number}/{turn}/"
                if body_of(direct.send(ask(server, path))) != path.encode() * 1000:
                    wrong.append(path)

        threads = [threading.Thread(target=many, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(server.connections) <= 8


def test_a_redirect_leaves_the_rest_of_a_session_to_the_library(registry, there, monkeypatch):
    layer = serve_model(registry)["layers"][0]["digest"]
    registry.instead("GET", layer, says(307, Location=f"/v2/other/tiny/blobs/{layer}"), times=2)
    registry.instead("GET", "/v2/other/", registry.answer)
    pull(there, f"{registry.host}/team/tiny:v1")
    asked = [seen.path for seen in registry.asked("GET", layer)]
    assert asked == [*[f"/v2/team/tiny/blobs/{layer}"] * 2, f"/v2/other/tiny/blobs/{layer}"]


PULL = """
import sys
from pathlib import Path
from modelpack.config import Settings
from modelpack.ops.context import Context, Network
from modelpack.ops.pull import pull
settings = Settings.from_environment({"HOME": sys.argv[1]})
pull(Context.create(settings, Network(ca_file=sys.argv[3])), sys.argv[2])
print(*sys.modules)
"""


def loaded_by_pulling(model, home, ca_file=""):
    done = subprocess.run(
        [sys.executable, "-c", PULL, str(home), model, str(ca_file)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_a_plain_pull_loads_no_library(registry, tmp_path):
    serve_model(registry)
    heavy = {"requests", "urllib3", "oras", "ssl", "http.client", "email", "encodings.idna"}
    assert heavy.isdisjoint(loaded_by_pulling(f"{registry.host}/team/tiny:v1", tmp_path))


def test_a_pull_over_tls_from_this_machine_loads_none_either(secure, authority, tmp_path):
    loaded = loaded_by_pulling(f"{secure.host}/team/tiny:v1", tmp_path, authority / "ca.pem")
    assert {"requests", "urllib3", "oras", "http.client"}.isdisjoint(loaded)
