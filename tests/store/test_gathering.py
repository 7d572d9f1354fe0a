"""Small blobs that come into the store together."""

from __future__ import annotations

import errno
import os
import threading

import pytest
from support.models import assert_sound, blob_names, leftovers

from modelpack import limits
from modelpack.content.disk import write_all
from modelpack.errors import StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.store.local import LocalStore


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def store(root):
    return LocalStore(root)


def many(count):
    """Return *count* blobs with their bytes."""
    datas = [b"blob %d" % number for number in range(count)]
    return [(Descriptor.of(data, "a/b"), data) for data in datas]


def full(*_args):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def opened():
    """Tell which files this process has open, by number."""
    return {name for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")}  # noqa: PTH110, PTH208 - numbers, not paths


def test_what_comes_together_is_there_at_the_end(store, root):
    blobs = [*many(70), (Descriptor.of(b"", "a/b"), b"")]
    before = opened()
    assert list(store.take(blobs, 4)) == [blob for blob, _ in blobs]
    for blob, data in blobs:
        assert store.has(blob)
        assert store.path(blob.digest).read_bytes() == data
    assert leftovers(root) == []
    assert opened() == before


def test_more_than_may_wait_come_in(store, root, monkeypatch):
    monkeypatch.setattr(limits, "GATHERED", 3)
    monkeypatch.setattr(limits, "GATHERED_GROUPS", 2)
    blobs = many(50)
    assert len(list(store.take(blobs, 4))) == 50
    assert blob_names(root) == {f"sha256-{blob.digest.hex}" for blob, _ in blobs}
    assert_sound(root)
    assert leftovers(root) == []


def test_only_so_many_wait_to_be_made_durable(store, root, monkeypatch):
    monkeypatch.setattr(limits, "GATHERED", 3)
    monkeypatch.setattr(limits, "GATHERED_GROUPS", 2)
    go_on, fsync = threading.Event(), os.fsync

    def slow(descriptor):
        assert go_on.wait(30)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    came = []

    def bring():
        with store._blobs.gathering() as gathering:
            for blob, data in many(30):
                gathering.put(blob, data)
                came.append(blob)

    bringer = threading.Thread(target=bring)
    bringer.start()
    bringer.join(0.3)
    assert len(came) < 9  # the ninth is put when a group of three is settled
    go_on.set()
    bringer.join(30)
    assert len(came) == 30
    assert leftovers(root) == []


@pytest.mark.parametrize("data", [b"", b"blob", b"BLOB 0", b"blob 0!"])
def test_other_bytes_are_refused_and_leave_nothing(store, root, data):
    (first, _), *others = many(20)
    taken = list(store.take([*others[:5], (first, data), *others[5:]], 4))
    assert taken == [blob for blob, _ in others]
    assert not store.has(first)
    assert len(blob_names(root)) == 19
    assert leftovers(root) == []


def test_files_can_be_read_by_everyone_whatever_the_umask(store):
    before = os.umask(0o077)
    try:
        list(store.take(many(3), 4))
    finally:
        os.umask(before)
    for blob, _ in many(3):
        assert store.path(blob.digest).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("count", [5, 64, 200])
def test_a_disk_that_is_full_when_blobs_settle_says_what_to_do(store, root, monkeypatch, count):
    monkeypatch.setattr(os, "fsync", full)
    before = opened()
    with pytest.raises(StoreError, match="no space left") as caught:
        list(store.take(many(count), 4))
    assert "MODELPACK_MODELS" in str(caught.value.hint)
    assert blob_names(root) == set()
    assert leftovers(root) == []
    assert opened() == before


def test_what_was_durable_before_the_disk_was_full_stays(store, root, monkeypatch):
    fsync, turns = os.fsync, iter(range(3))

    def fills(descriptor):
        (fsync if next(turns, None) is not None else full)(descriptor)

    monkeypatch.setattr(os, "fsync", fills)
    with pytest.raises(StoreError, match="no space left"):
        list(store.take(many(10), 4))
    assert len(blob_names(root)) == 3
    assert_sound(root)
    assert leftovers(root) == []


@pytest.mark.parametrize("written", [0, 3])
def test_a_blob_that_was_not_written_whole_is_never_visible(store, root, monkeypatch, written):
    """Its bytes are right, its file is not; those before it are there."""

    def fills(descriptor, data):
        if data == b"blob 7":
            write_all(descriptor, data[:written])
            full()
        write_all(descriptor, data)

    monkeypatch.setattr("modelpack.store.gathering.write_all", fills)
    before = opened()
    with pytest.raises(StoreError, match="no space left"):
        list(store.take(many(20), 4))
    assert not store.path(many(8)[7][0].digest).exists()
    assert_sound(root)
    assert len(blob_names(root)) == 7
    assert leftovers(root) == []
    assert opened() == before


def test_a_store_that_cannot_be_written_to_is_a_clear_error(tmp_path):
    (tmp_path / "models").write_text("not a folder")
    with pytest.raises(StoreError, match="cannot write to the store"):
        list(LocalStore(tmp_path / "models").take(many(20), 4))


def test_what_came_before_the_source_failed_stays(store, root):
    def failing():
        yield from many(10)
        raise KeyError("source")

    with pytest.raises(KeyError, match="source"):
        list(store.take(failing(), 4))
    assert len(blob_names(root)) == 10
    assert_sound(root)
    assert leftovers(root) == []


def test_what_is_in_the_store_is_brought_but_for_what_is_too_short(store):
    blobs = many(20)
    list(store.take(blobs, 4))
    store.path(blobs[3][0].digest).write_bytes(b"blo")
    asked = [blob for blob, _ in blobs]
    assert list(store.bring(asked, 4)) == [*blobs[:3], *blobs[4:]]
    missing = Descriptor.of(b"missing", "a/b")
    assert list(store.look([asked[0], missing, asked[3]], 4)) == [
        (asked[0], True), (missing, False), (asked[3], False),
    ]  # fmt: skip
