"""Pieces of files on their way to a socket."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from modelpack import limits
from modelpack.errors import IntegrityError
from modelpack.oci.descriptor import Descriptor
from modelpack.registry.outgoing import Outgoing
from modelpack.registry.wire import FilePart

DATA = os.urandom(1_000_003)


@pytest.fixture
def file(tmp_path):
    (tmp_path / "file").write_bytes(DATA)
    with (tmp_path / "file").open("rb") as file:
        yield file.fileno()


@pytest.fixture
def ends():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        near = socket.create_connection(server.getsockname(), 5)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        far, _ = server.accept()
    far.settimeout(5)
    with near, far:
        yield near, far


def read(far: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += far.recv(count - len(data))
    return data


@pytest.mark.parametrize(("start", "stop"), [(0, len(DATA)), (5, 700_001), (9, 9)])
def test_a_piece_arrives_as_it_is(file, ends, start, stop):
    sender = threading.Thread(target=FilePart(file, start, stop).send, args=(ends[0],))
    sender.start()
    assert read(ends[1], stop - start) == DATA[start:stop]
    sender.join()
    assert b"".join(FilePart(file, start, stop).blocks()) == DATA[start:stop]


def test_a_file_that_became_shorter_is_noticed(file, ends):
    part = FilePart(file, len(DATA) - 10, len(DATA) + 10)
    with pytest.raises(IntegrityError, match="became shorter"):
        part.send(ends[0])
    with pytest.raises(IntegrityError, match="became shorter"):
        list(part.blocks())


def test_the_other_side_that_takes_nothing_is_given_up(file, ends):
    ends[0].settimeout(0.05)
    with pytest.raises(TimeoutError, match="takes nothing more"):
        FilePart(file, 0, len(DATA)).send(ends[0])


def test_the_other_side_that_takes_a_trickle_is_given_up(file, ends, monkeypatch):
    monkeypatch.setattr(limits, "STALL_S", 0.1)
    done = threading.Event()

    def trickle():
        while not done.wait(0.005):
            ends[1].recv(500)

    reader = threading.Thread(target=trickle)
    reader.start()
    try:
        with pytest.raises(TimeoutError, match="all but stopped"):
            FilePart(file, 0, len(DATA)).send(ends[0])
    finally:
        done.set()
        reader.join()


@pytest.mark.parametrize(("fast", "sizes"), [(60.0, [3, 6, 8, 8, 5]), (-1.0, [3] * 10)])
def test_pieces_of_a_file_grow_while_they_go_fast(tmp_path, monkeypatch, fast, sizes):
    monkeypatch.setattr(limits, "SENT_PIECE", 3)
    monkeypatch.setattr(limits, "SENT_PIECES", 8)
    monkeypatch.setattr(limits, "SENT_PIECE_S", fast)
    (tmp_path / "file").write_bytes(DATA[:30])
    told: list[int] = []
    with (tmp_path / "file").open("rb", buffering=0) as body:
        going = Outgoing(body, Descriptor.of(DATA[:30], ""), told.append)
        pieces = list(going.pieces(0, 30))
        assert b"".join(b"".join(piece.blocks()) for piece in pieces) == DATA[:30]
    assert told == sizes
