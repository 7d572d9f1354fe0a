"""Bytes that come in any order are written and hashed behind those who fetch them."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from modelpack import limits
from modelpack.store import flow as flows
from modelpack.store.flow import ALIGNED, Flow, Lane

BLOCK = 64 * limits.KiB
SIZE = 40 * BLOCK + 1_234
DATA = random.Random(3).randbytes(SIZE)
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(limits, "RANGE_BLOCK", BLOCK)
    monkeypatch.setattr(limits, "FLOW_LAG", 4 * BLOCK)


@pytest.fixture(params=["direct", "cached"])
def file(request, tmp_path, monkeypatch):
    if request.param == "cached":
        monkeypatch.setattr(flows, "_open_direct", lambda _file: -1)
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(descriptor, SIZE)
    yield descriptor
    os.close(descriptor)


class Written:
    """Counts what was written, and tells the flow how far that is without a gap."""

    def __init__(self) -> None:
        self.flow: Flow | None = None
        self._spans: dict[int, int] = {}
        self._whole = 0
        self._lock = threading.Lock()

    def __call__(self, start: int, count: int) -> None:
        with self._lock:
            self._spans[start] = count
            while self._whole in self._spans:
                self._whole += self._spans.pop(self._whole)
        assert self.flow is not None
        self.flow.whole_up_to(self._whole)


@pytest.fixture
def flow(file):
    written = Written()
    written.flow = Flow(file, SIZE, written)
    yield written.flow
    written.flow.end()


def fill(flow: Flow, start: int, stop: int, step: int = 10_000) -> int:
    lane = Lane(flow, start, stop)
    at = start
    while room := lane.room():
        piece = DATA[at : at + min(step, len(room))]
        room[: len(piece)] = piece
        lane.filled(len(piece))
        at += len(piece)
    return lane.close()


def test_bytes_in_order_are_in_the_file_and_in_the_digest(flow, file):
    fill(flow, 0, SIZE)
    assert flow.digest() == SHA
    assert os.pread(file, SIZE, 0) == DATA


@pytest.mark.parametrize("seed", range(6))
def test_parts_in_any_order_from_many_threads_are_too(flow, file, seed):
    rng = random.Random(seed)
    part = rng.choice([BLOCK, 3 * BLOCK, 10 * BLOCK])
    parts = [(start, min(start + part, SIZE)) for start in range(0, SIZE, part)]
    rng.shuffle(parts)
    with ThreadPoolExecutor(rng.randint(1, 6)) as pool:
        for done in [pool.submit(fill, flow, *each) for each in parts]:
            done.result(20)
    assert flow.digest() == SHA
    assert os.pread(file, SIZE, 0) == DATA


def test_what_was_there_before_is_read_from_the_file(file):
    os.pwrite(file, DATA[: 20 * BLOCK], 0)
    written = Written()
    written._whole = 20 * BLOCK
    flow = written.flow = Flow(file, SIZE, written)
    flow.whole_up_to(20 * BLOCK)
    fill(flow, 20 * BLOCK, SIZE)
    assert flow.digest() == SHA
    flow.end()


def test_a_block_that_is_not_full_is_kept_up_to_an_even_end(flow, file):
    lane = Lane(flow, 0, SIZE)
    lane.room()[:10_000] = DATA[:10_000]
    assert lane.filled(10_000) == 0
    assert lane.close() == 2 * ALIGNED
    fill(flow, 2 * ALIGNED, SIZE)
    assert flow.digest() == SHA


def test_a_disk_that_fails_is_heard_of_and_nobody_waits_for_ever(flow, monkeypatch):
    def full(_file, _data, _start):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(flows, "_write", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fill(flow, 0, SIZE)
    assert caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space left"):
        flow.digest()


def test_the_end_stops_those_who_hash(flow):
    fill(flow, 0, 5 * BLOCK)
    flow.end()


def test_waiting_for_most_of_the_time_is_starving():
    waits = flows._Waits()
    now = waits._watched
    waits.begin(now)
    waits.end(now + 0.15)
    assert not waits.are_long(now + 0.16)  # too short a time to tell
    assert waits.are_long(now + 0.21)
    waits.begin(now + 0.21)
    waits.end(now + 0.30)
    assert not waits.are_long(now + 0.45)
    waits.begin(now + 0.46)
    assert waits.are_long(now + 0.80)  # still waiting
