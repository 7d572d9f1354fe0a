"""A blob that comes in parts."""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time

import pytest
from support.models import blob_names, leftovers

from modelpack import limits
from modelpack.content.ranges import Span
from modelpack.errors import StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.store.local import LocalStore

DATA = random.Random(3).randbytes(1_000_000)
BLOB = Descriptor.of(DATA, "a/b")


@pytest.fixture(autouse=True)
def small_parts(monkeypatch):
    monkeypatch.setattr(limits, "RANGE_PART", 150_000)
    monkeypatch.setattr(limits, "FLUSH_EVERY", 200_000)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def store(root):
    return LocalStore(root)


def nobody():
    raise AssertionError("nobody else is there")


def fill(partial, gap: Span, data: bytes = DATA, step: int = 40_000) -> None:
    with partial.lane(gap) as lane:
        at = gap.start
        while room := lane.room():
            piece = data[at : at + min(step, len(room))]
            room[: len(piece)] = piece
            lane.filled(len(piece))
            at += len(piece)


@pytest.mark.parametrize("seed", range(5))
def test_parts_in_any_order_make_the_blob(store, root, seed):
    with store.partial(BLOB, nobody) as partial:
        gaps = partial.begin().missing()
        random.Random(seed).shuffle(gaps)
        for gap in gaps:
            fill(partial, gap)
        assert partial.commit()
    assert store.path(BLOB.digest).read_bytes() == DATA
    assert store.path(BLOB.digest).stat().st_mode & 0o777 == 0o644
    assert leftovers(root) == []


def test_parts_from_many_threads_make_the_blob(store):
    with store.partial(BLOB, nobody) as partial:
        threads = [
            threading.Thread(target=fill, args=(partial, gap, DATA, 7_000))
            for gap in partial.begin().missing()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert partial.commit()
    assert store.path(BLOB.digest).read_bytes() == DATA


def test_what_was_written_is_there_the_next_time(store, root):
    with pytest.raises(KeyError), store.partial(BLOB, nobody) as partial:
        gaps = partial.begin().missing()
        fill(partial, gaps[0])
        fill(partial, Span(3, gaps[3].start, gaps[3].start + 50_000))
        raise KeyError
    assert blob_names(root) == set()
    with store.partial(BLOB, nobody) as partial:
        ledger = partial.begin()
        assert ledger.done == (150_000, 0, 0, 50_000, 0, 0, 0)
        for gap in ledger.missing():
            fill(partial, gap)
        assert partial.commit()
    assert leftovers(root) == []


def test_wrong_bytes_are_not_committed_and_can_be_cleared(store, root):
    with store.partial(BLOB, nobody) as partial:
        for gap in partial.begin().missing():
            fill(partial, gap, bytes(len(DATA)))
        assert not partial.commit()
        partial.clear()
        ledger = partial.begin()
        assert ledger.total == 0
        for gap in ledger.missing():
            fill(partial, gap)
        assert partial.commit()
    assert store.has(BLOB)


def test_nothing_written_leaves_nothing(store, root):
    with store.partial(BLOB, nobody) as partial:
        partial.begin()
    with store.partial(BLOB, nobody):
        pass
    assert leftovers(root) == []


def test_a_part_size_of_yesterday_is_kept(store, monkeypatch):
    with store.partial(BLOB, nobody) as partial:
        fill(partial, partial.begin().missing()[0])
    monkeypatch.setattr(limits, "RANGE_PART", 400_000)
    with store.partial(BLOB, nobody) as partial:
        assert (partial.begin().part, partial.begin().total) == (150_000, 150_000)
    assert not any(thread.name.startswith("behind") for thread in threading.enumerate())


def test_a_blob_that_somebody_else_brought_is_not_taken_again(store, root):
    entered, waited, got = threading.Event(), threading.Event(), []

    def second():
        entered.wait(5)
        with LocalStore(root).partial(BLOB, waited.set) as partial:
            got.append(partial)

    thread = threading.Thread(target=second)
    thread.start()
    with store.partial(BLOB, nobody) as partial:
        entered.set()
        assert waited.wait(5)
        for gap in partial.begin().missing():
            fill(partial, gap)
        assert partial.commit()
    thread.join(5)
    assert got == [None]
    assert store.path(BLOB.digest).read_bytes() == DATA
    assert leftovers(root) == []


def test_whoever_waits_can_give_up(store, root):
    def give_up():
        raise KeyError

    with (
        store.partial(BLOB, nobody),
        pytest.raises(KeyError),
        LocalStore(root).partial(BLOB, give_up),
    ):
        pass


def test_a_lock_on_a_file_that_was_renamed_is_not_taken_for_ours(store, root):
    path = root / "ingest" / f"sha256-{BLOB.digest.hex}.part"
    path.parent.mkdir(parents=True)
    other = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(other, fcntl.LOCK_EX)

    def release():
        path.rename(root / "elsewhere")
        os.close(other)

    with store.partial(BLOB, release) as partial:
        for gap in partial.begin().missing():
            fill(partial, gap)
        assert partial.commit()
    assert (root / "elsewhere").read_bytes() == b""
    assert store.path(BLOB.digest).read_bytes() == DATA


def test_a_link_in_the_place_of_the_file_is_not_followed(store, root, tmp_path):
    (tmp_path / "precious").write_bytes(b"mine")
    path = root / "ingest" / f"sha256-{BLOB.digest.hex}.part"
    path.parent.mkdir(parents=True)
    path.symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError), store.partial(BLOB, nobody):
        pass
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_the_journal_is_written_at_the_end_of_a_part_and_now_and_then(store, root, monkeypatch):
    monkeypatch.setattr(limits, "JOURNAL_EVERY_S", 0.2)
    with store.partial(BLOB, nobody) as partial:
        first, second, *_ = partial.begin().missing()
        journal = root / "ingest" / f"sha256-{BLOB.digest.hex}.json"
        empty = journal.read_bytes()
        fill(partial, Span(first.part, first.start, first.start + 40_000))
        assert journal.read_bytes() == empty
        fill(partial, Span(first.part, first.start + 40_000, first.stop))
        after_part = journal.read_bytes()
        assert after_part != empty
        time.sleep(0.25)
        fill(partial, Span(second.part, second.start, second.start + 40_000))
        assert journal.read_bytes() not in (empty, after_part)
