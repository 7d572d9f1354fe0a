"""How the bytes of a body come into a buffer."""

from __future__ import annotations

import pytest

from modelpack import limits
from modelpack.registry.incoming import Stream, pour_all


def receiving(*pieces):
    """Receives one of *pieces* at a time; what is no piece is raised."""
    left = list(pieces)

    def receive(room):
        piece = left.pop(0)
        if isinstance(piece, Exception):
            raise piece
        room[: len(piece)] = piece
        return len(piece)

    return receive


def test_small_pieces_that_come_fast_fill_a_buffer(monkeypatch):
    monkeypatch.setattr(limits, "POUR_S", 60.0)
    room = bytearray(6)
    assert pour_all(receiving(b"ab", b"cd", b"ef", b"gh"), memoryview(room)) == 6
    assert room == b"abcdef"


def test_what_comes_slowly_is_handed_on(monkeypatch):
    monkeypatch.setattr(limits, "POUR_S", 0.0)
    assert pour_all(receiving(b"ab", b"cd"), memoryview(bytearray(6))) == 2


@pytest.mark.parametrize("end", [b"", TimeoutError(), ConnectionResetError()])
def test_what_came_before_the_end_is_kept(end, monkeypatch):
    monkeypatch.setattr(limits, "POUR_S", 60.0)
    room = bytearray(6)
    assert pour_all(receiving(b"ab", b"cd", end), memoryview(room)) == 4
    assert room[:4] == b"abcd"


def test_an_error_at_once_is_told():
    with pytest.raises(ConnectionResetError):
        pour_all(receiving(ConnectionResetError()), memoryview(bytearray(6)))


class Records:
    """A TLS socket that gives two bytes at a time."""

    def __init__(self, *pieces):
        self.recv_into = receiving(*pieces)

    def pending(self):
        return 0


def test_records_of_tls_are_read_as_one(monkeypatch):
    monkeypatch.setattr(limits, "POUR_S", 60.0)
    stream = Stream(Records(b"ab", b"cd", b"ef", b""))
    assert stream.take(4) == b"abcd"
    assert stream.take(4) == b"ef"
