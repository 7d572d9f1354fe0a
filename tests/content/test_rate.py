"""A limit on how fast bytes come, whoever reads them."""

from __future__ import annotations

import io
from contextlib import contextmanager
from dataclasses import replace

import pytest
from support.models import manifest_of

from modelpack.content.rate import LimitedSource, Rate, limited
from modelpack.content.transfer import CopyOptions, copy
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore

BLOB = Descriptor.of(b"x" * 100_000, "a/b")
NAME = Reference.parse("model:1")


class Time:
    """A clock that only waiting moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def clock(self) -> float:
        return self.now


class Source:
    """Gives one blob, whole or in ranges."""

    origin = "the test"

    @contextmanager
    def open(self, _blob):
        yield io.BytesIO(b"x" * 100_000)

    @contextmanager
    def open_range(self, _blob, start, stop):
        yield io.BytesIO(b"x" * (stop - start))


@pytest.fixture
def time():
    return Time()


def drain(body) -> int:
    total = 0
    while data := body.read(65_536):
        total += len(data)
    return total


def test_bytes_take_their_time(time):
    rate = Rate(10_000, time.wait, time.clock)
    with LimitedSource(Source(), rate).open(BLOB) as body:
        assert drain(body) == 100_000
    assert time.now == pytest.approx(10.0)


def test_a_limit_is_for_all_together(time):
    rate = Rate(10_000, time.wait, time.clock)
    source = LimitedSource(Source(), rate)
    with source.open(BLOB) as first, source.open(BLOB) as second:
        while first.read(1_000) and second.read(1_000):
            pass
    assert time.now == pytest.approx(20.0, rel=0.01)


def test_time_that_was_not_used_is_not_saved_up(time):
    rate = Rate(10_000, time.wait, time.clock)
    time.now = 100.0
    rate.take(10_000)
    assert time.now == pytest.approx(101.0)


def test_bytes_flow_rather_than_jump(time):
    rate = Rate(16_000, time.wait, time.clock)
    with LimitedSource(Source(), rate).open(BLOB) as body:
        assert len(body.read(100_000)) <= 1_000


def test_ranges_are_limited_where_there_are_any(time):
    source = limited(Source(), 10_000, time.wait)
    with source.open_range(BLOB, 5, 15) as body:
        assert drain(body) == 10
    assert limited(Source(), 0, time.wait).__class__ is Source
    assert not hasattr(limited(LocalStore, 1, time.wait), "open_range")


def test_copy_obeys_the_limit(tmp_path, monkeypatch):
    taken = []
    monkeypatch.setattr(Rate, "take", lambda _self, count: taken.append(count))
    here, there = LocalStore(tmp_path / "a"), LocalStore(tmp_path / "b")
    manifest = manifest_of(here, b"w" * 50_000)
    here.name(NAME, manifest)
    how = CopyOptions(action="pull")
    copy(here, there, (NAME, NAME), replace(how, limit_rate=1 << 20))
    assert sum(taken) == sum(blob.size for blob in set(manifest.blobs))
