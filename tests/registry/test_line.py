"""One connection for short conversations, and what is understood of the answers that come on it."""

from __future__ import annotations

import socket

import pytest

from modelpack import limits
from modelpack.registry.heads import LineError, length_of, parse_head
from modelpack.registry.lines import Line, Question, Reply

ASKED = Question("GET", b"GET / HTTP/1.1\r\n\r\n", 100)
OK = "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("text", "status", "headers"),
    [
        (OK, 200, {}),
        ("HTTP/1.1 404", 404, {}),
        ("HTTP/1.1 204 ", 204, {}),
        ("HTTP/1.1 500 Gr\xfc\xdfe aus \xd6", 500, {}),
        (f"{OK}\r\nContent-LENGTH:  7 \r\nX: a:b", 200, {"content-length": "7", "x": "a:b"}),
        (f"{OK}\r\nContent-Length: 7\r\ncontent-length: 7", 200, {"content-length": "7"}),
        (f"{OK}\r\nX: first\r\nx: second", 200, {"x": "first"}),
        (f"{OK}\r\nX:", 200, {"x": ""}),
    ],
)
def test_a_plain_head_is_read(text, status, headers):
    assert parse_head(text) == (status, headers)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ICY 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/2 200",
        "http/1.1 200 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 \xb2\xb9\xb2 OK",
        "HTTP/1.1 100 Continue",
        "HTTP/1.1 101 Switching Protocols",
        "HTTP/1.1 600 Odd",
        "HTTP/1.1 200 O\0K",
        "HTTP/1.1 200 OK\n",
        f"{OK}\r\nX: 1\r\n folded",
        f"{OK}\r\nX: 1\r\n\tfolded: yes",
        f"{OK}\r\nX: 1\nContent-Length: 3",
        f"{OK}\r\nX: 1\rContent-Length: 3",
        f"{OK}\nContent-Length: 3",
        f"{OK}\r\nContent-Length 3",
        f"{OK}\r\nContent-Length : 3",
        f"{OK}\r\n: 3",
        f"{OK}\r\nContent-Length: 3\r\nContent-Length: 4",
        f"{OK}\r\nContent-Length: 3\r\ncontent-length: 03",
    ],
)
def test_an_odd_head_is_refused(text):
    with pytest.raises(LineError):
        parse_head(text)


@pytest.mark.parametrize(("said", "length"), [("0", 0), ("7", 7), ("007", 7), ("100", 100)])
def test_a_length_is_read(said, length):
    assert length_of({"content-length": said}, 100) == length


@pytest.mark.parametrize(
    "headers",
    [
        {},
        *({"content-length": said} for said in ("", "-1", "+1", "1.0", "0x7", "7, 7", "\xb2")),
        {"content-length": "101"},
        {"content-length": "0000000007"},
        {"content-length": "9" * 5000},
        {"transfer-encoding": "chunked"},
        {"transfer-encoding": "chunked", "content-length": "7"},
        {"transfer-encoding": "", "content-length": "7"},
    ],
)
def test_a_body_without_a_good_length_is_refused(headers):
    with pytest.raises(LineError):
        length_of(headers, 100)


@pytest.fixture
def ends():
    near, far = socket.socketpair()
    far.settimeout(5)
    with near, far:
        yield Line(near), far


def told(ends, data, question=ASKED):
    """Ask *question*, and hear all that *data* makes of it."""
    line, far = ends
    line.ask(question)
    assert far.recv(1000) == question.message
    far.sendall(data)
    return line.hear()


def test_an_answer_may_come_byte_by_byte(ends):
    line, far = ends
    line.ask(ASKED)
    *first, last = (bytes([b]) for b in b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 4\r\n\r\nbody")
    for byte in first:
        far.sendall(byte)
        assert line.hear() is None
    far.sendall(last)
    assert line.hear() == Reply(200, {"x": "y", "content-length": "4"}, b"body")
    assert not line.is_last


@pytest.mark.parametrize(
    ("method", "head"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 7000000\r\n\r\n"),
        ("HEAD", b"HTTP/1.1 404 No\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"),
        ("POST", b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"),
    ],
)
def test_an_answer_without_a_body_ends_with_its_head(ends, method, head):
    reply = told(ends, head, Question(method, b"x"))
    assert reply is not None
    assert reply.body == b""


def test_answers_to_one_question_after_another_are_kept_apart(ends):
    first = told(ends, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none")
    second = told(ends, b"HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\ntwo")
    assert first is not None
    assert second is not None
    assert (first.status, first.body) == (200, b"one")
    assert (second.status, second.body) == (404, b"two")


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nfour",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"\0\1 220 smtp.example ready\r\n\r\n",
    ],
)
def test_an_answer_that_is_not_plainly_framed_is_refused(ends, data):
    with pytest.raises(LineError):
        told(ends, data)


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", None])
def test_a_hang_up_inside_an_answer_is_noticed(ends, sent):
    line, far = ends
    line.ask(ASKED)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbod"
    if part := head if sent is None else sent:
        far.sendall(part)
        assert line.hear() is None
    far.shutdown(socket.SHUT_WR)
    with pytest.raises(LineError, match="hung up"):
        line.hear()


def test_headers_that_do_not_end_are_given_up(ends, monkeypatch):
    monkeypatch.setattr(limits, "ANSWER_HEAD", 100)
    line, far = ends
    line.ask(ASKED)
    far.sendall(b"x" * 100)
    assert line.hear() is None
    far.sendall(b"x")
    with pytest.raises(LineError, match="do not end"):
        line.hear()


@pytest.mark.parametrize("said", ["close", "Close", "foo, close"])
def test_nothing_is_asked_where_the_server_hangs_up(ends, said):
    head = f"HTTP/1.1 200 OK\r\nConnection: {said}\r\nContent-Length: 0\r\n\r\n"
    assert told(ends, head.encode()) is not None
    line, far = ends
    assert line.is_last
    with pytest.raises(LineError, match="hung up"):
        line.ask(ASKED)
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(1)
