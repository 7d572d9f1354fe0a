"""Short conversations with a server, many at once on one thread."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from fakes.answers import dripping, garbage, gone, silent
from fakes.crowds import Crossing
from fakes.web import Exchange, FakeServer, cut_after, says

from modelpack import limits
from modelpack.registry.heads import LineError
from modelpack.registry.lines import Line, Lines, Question


class Server(FakeServer):
    """Says what it was asked; remembers who asked."""

    def __init__(self) -> None:
        super().__init__()
        self.askers: list[tuple[str, tuple[str, int]]] = []
        self.over = threading.Event()
        self.lines: list[Line] = []

    def __exit__(self, *error: object) -> None:
        self.over.set()
        super().__exit__(*error)

    def answer(self, exchange: Exchange) -> None:
        self.askers.append((exchange.command, exchange.client_address))
        exchange.reply(200, exchange.path.encode())

    def connect(self) -> Line:
        host, _, port = self.host.partition(":")
        line = Line(socket.create_connection((host, int(port)), 5))
        self.lines.append(line)
        return line


@pytest.fixture
def server():
    with Server() as server:
        yield server


@pytest.fixture
def lines(server):
    lines = Lines(server.connect)
    yield lines
    lines.close()


def question(path, method="GET"):
    return Question(method, f"{method} {path} HTTP/1.1\r\nHost: here\r\n\r\n".encode(), 100)


def talk(path):
    """Ask once; what comes of it is the body, if that is well."""
    reply = yield question(path)
    return reply.body.decode() if reply.status == 200 else None


def talks(paths, begun=None):
    for path in paths:
        if begun is not None:
            begun.append(path)
        yield talk(path)


def test_what_comes_of_conversations_comes(server, lines):
    paths = [f"/{n}" for n in range(100)]
    assert sorted(lines.hold(talks(paths), 7)) == sorted(paths)
    assert sorted(lines.hold(talks(paths), 7)) == sorted(paths)
    assert list(lines.hold(talks([]), 7)) == []
    assert len(server.lines) == 7


def test_few_conversations_need_few_lines(server, lines):
    assert sorted(lines.hold(talks(["/a", "/b"]), 16)) == ["/a", "/b"]
    assert len(server.lines) == 2


@pytest.mark.parametrize("width", [1, 5])
def test_so_many_are_under_way_at_a_time(server, lines, width):
    crossing = Crossing(meet=width)
    server.instead("GET", "/", crossing.guarding(server.answer))
    assert len(list(lines.hold(talks(f"/{n}" for n in range(40)), width))) == 40
    assert crossing.most == width


@pytest.mark.parametrize(
    "answer",
    [
        says(404),
        gone,
        garbage,
        cut_after(b"half", 9),
        says(200, b"x" * 101),
        says(200, b"y", Content_Length=""),
        says(200, b"0\r\n\r\n", Transfer_Encoding="chunked"),
    ],
    ids=["404", "gone", "garbage", "cut", "long", "unmeasured", "chunked"],
)
def test_those_that_go_wrong_are_left_out(server, lines, answer):
    server.instead("GET", "/bad", answer)
    paths = [f"/{n}" for n in range(30)]
    paths[5] = paths[11] = "/bad"
    found = sorted(lines.hold(talks(paths), 4))
    assert found == sorted(path for path in paths if path != "/bad")


def test_a_conversation_stays_on_its_line(server, lines):
    def both(name):
        for method in ("POST", "PUT"):
            yield question(name, method)
        return name

    names = [f"/{n}" for n in range(12)]
    assert sorted(lines.hold(map(both, names), 3)) == sorted(names)
    by_line: dict[tuple[str, int], list[str]] = {}
    for method, asker in server.askers:
        by_line.setdefault(asker, []).append(method)
    assert len(by_line) == 3
    for methods in by_line.values():
        assert methods == ["POST", "PUT"] * (len(methods) // 2)


def test_a_line_that_the_server_closes_is_not_used_again(server, lines):
    def closing(exchange):
        exchange.close_connection = True
        exchange.reply(200, b"last", Connection="close")

    server.instead("GET", "/close", closing, times=2)
    found = list(lines.hold(talks(["/close", "/close", "/a", "/b", "/c"]), 3))
    assert sorted(found) == ["/a", "/b", "/c", "last", "last"]
    assert [line.fileno() < 0 for line in server.lines].count(True) == 2


def test_a_server_that_never_answers_is_given_up(server, lines, monkeypatch):
    monkeypatch.setattr(limits, "READ_TIMEOUT_S", 0.2)
    monkeypatch.setattr("modelpack.registry.lines._TICK_MS", 20)
    server.instead("GET", "/never", silent(server.over, b"HTTP/1.1 200 OK\r\n"))
    server.instead("GET", "/drip", dripping(b"HTTP/1.1 200 OK\r\nX: ", b"x", server.over))
    caught = []

    def waiting(path):
        try:
            yield question(path)
        except LineError:
            caught.append(path)
        return None

    asked = [waiting("/never"), waiting("/drip"), talk("/a"), talk("/b")]
    began = time.monotonic()
    assert sorted(lines.hold(asked, 3)) == ["/a", "/b"]
    assert 0.2 <= time.monotonic() - began < 10
    assert sorted(caught) == ["/drip", "/never"]
    assert not server.over.is_set()


def test_after_much_trouble_no_more_are_begun(server, lines):
    server.instead("GET", "/", says(500))
    asked, width = [f"/{n}" for n in range(100)], 4
    assert list(lines.hold(talks(asked), width)) == []
    assert limits.LINES_TROUBLE <= len(server.seen) < limits.LINES_TROUBLE + width


def test_lines_that_break_are_not_made_again(server, lines):
    server.instead("GET", "/", gone)
    assert list(lines.hold(talks(f"/{n}" for n in range(100)), 4)) == []
    assert len(server.seen) == len(server.lines) == 4


def test_whoever_stops_early_hangs_up(server, lines):
    server.instead("GET", "/held", silent(server.over))
    ended = []

    def held():
        try:
            yield question("/held")
        finally:
            ended.append(True)

    holding = lines.hold([held(), held(), talk("/a")], 3)
    assert next(holding) == "/a"
    holding.close()
    assert ended == [True, True]
    assert sorted(line.fileno() < 0 for line in server.lines) == [False, True, True]
    lines.close()
    assert all(line.fileno() < 0 for line in server.lines)


def test_whoever_is_given_something_wrong_hangs_up(server, lines):
    def wrong():
        yield talk("/a")
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        list(lines.hold(wrong(), 1))
    lines.close()
    assert all(line.fileno() < 0 for line in server.lines)


def test_without_connections_nothing_comes():
    begun = []

    def refuse():
        raise LineError("nobody there")

    lines = Lines(refuse)
    assert list(lines.hold(talks((f"/{n}" for n in range(100)), begun), 4)) == []
    assert len(begun) <= 4
    lines.close()


def test_fewer_connections_than_wanted_do(server):
    some = iter(range(2))

    def connect():
        if next(some, None) is None:
            raise LineError("enough")
        return server.connect()

    lines = Lines(connect)
    assert len(list(lines.hold(talks(f"/{n}" for n in range(20)), 8))) == 20
    assert len(server.lines) == 2
    lines.close()
