from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.models import assert_sound, blob_names, leftovers

from modelpack.errors import IntegrityError, NotFoundError, StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.store.local import LocalStore

BLOB = Descriptor.of(b"weights", "a/b")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def store(root):
    return LocalStore(root)


def put(store, blob=BLOB, body=b"weights"):
    store.put(blob, io.BytesIO(body), lambda _count: None)


def test_put_makes_a_blob_visible(store, root):
    moved = []
    store.put(BLOB, io.BytesIO(b"weights"), moved.append)
    assert sum(moved) == 7
    assert store.has(BLOB)
    assert (root / "blobs" / f"sha256-{BLOB.digest.hex}").read_bytes() == b"weights"
    with store.open(BLOB) as body:
        assert body.read() == b"weights"


def test_put_takes_an_empty_blob(store):
    put(store, Descriptor.of(b"", "a/b"), b"")
    assert store.has(Descriptor.of(b"", "a/b"))


@pytest.mark.parametrize("body", [b"", b"weight", b"weights!", b"WEIGHTS", b"x" * 10_000_000])
def test_put_refuses_other_bytes_and_leaves_nothing(store, root, body):
    with pytest.raises(IntegrityError):
        put(store, body=body)
    assert not store.has(BLOB)
    assert blob_names(root) == set()
    assert leftovers(root) == []


def test_put_leaves_nothing_when_the_source_fails(store, root):
    class Broken:
        """A stream that breaks in the middle."""

        def read(self, _size=-1):
            if self.__dict__.setdefault("begun", False):
                raise NotFoundError("gone")
            self.begun = True
            return b"wei"

    with pytest.raises(NotFoundError, match="gone"):
        store.put(BLOB, Broken(), lambda _count: None)
    assert leftovers(root) == []
    assert not store.has(BLOB)


def test_put_again_repairs_a_blob_of_the_wrong_size(store):
    put(store)
    store.path(BLOB.digest).write_bytes(b"we")
    assert not store.has(BLOB)
    put(store)
    assert store.has(BLOB)


def test_has_looks_at_the_size(store):
    put(store)
    assert not store.has(Descriptor(BLOB.media_type, BLOB.digest, 8))
    assert not store.has(Descriptor.of(b"other", "a/b"))


def test_add_stores_data_once(store, root):
    assert store.add(b"text") == store.add(b"text") == Digest.of(b"text")
    assert len(blob_names(root)) == 1
    assert leftovers(root) == []


def test_read_verifies(store):
    put(store)
    assert store.read(BLOB, 100) == b"weights"
    store.path(BLOB.digest).write_bytes(b"WEIGHTS")
    with pytest.raises(IntegrityError):
        store.read(BLOB, 100)


def test_open_of_a_missing_blob_says_what_to_do(store):
    with pytest.raises(NotFoundError) as caught, store.open(BLOB):
        pass
    assert caught.value.hint


def test_scratch_is_gone_unless_committed(store, root):
    with store.scratch() as scratch:
        scratch.path.write_bytes(b"draft")
    with pytest.raises(KeyError), store.scratch():
        raise KeyError
    assert leftovers(root) == []
    assert blob_names(root) == set()


def test_blobs_can_be_read_by_everyone_whatever_the_umask(store):
    before = os.umask(0o077)
    try:
        put(store)
    finally:
        os.umask(before)
    assert store.path(BLOB.digest).stat().st_mode & 0o777 == 0o644


def test_a_small_blob_that_is_damaged_is_replaced(store, root):
    digest = store.add(b"weights")
    store.path(digest).write_bytes(b"Weights")
    assert store.add(b"weights") == digest
    assert store.path(digest).read_bytes() == b"weights"
    assert leftovers(root) == []


def test_committing_a_hard_link_leaves_the_mode_of_the_file_alone(store, tmp_path):
    mine = tmp_path / "private.gguf"
    mine.write_bytes(b"weights")
    mine.chmod(0o600)
    with store.scratch() as scratch:
        scratch.path.unlink()
        os.link(mine, scratch.path)
        scratch.commit(BLOB.digest)
    assert mine.stat().st_mode & 0o777 == 0o600
    assert store.has(BLOB)


def test_a_full_disk_says_what_to_do_and_leaves_nothing(store, root, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space left") as caught:
        put(store)
    assert "MODELPACK_MODELS" in str(caught.value.hint)
    with pytest.raises(StoreError, match="no space left"):
        store.add(b"weights")
    assert blob_names(root) == set()
    assert leftovers(root) == []


LIMITED = """
import io, resource, signal, sys
from pathlib import Path
from modelpack.errors import StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.store.local import LocalStore

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = LocalStore(Path(sys.argv[1]))
data = b"w" * int(sys.argv[2])
blob = Descriptor.of(data, "a/b")
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    store.put(blob, io.BytesIO(data), lambda count: None)
except StoreError as error:
    print("refused:", error)
else:
    print("stored:", store.has(blob))
"""


@pytest.mark.parametrize("size", [200_001, 262_144, 400_000])
def test_a_write_that_is_cut_short_is_noticed(root, size):
    """The kernel writes what still fits and says so; only the next write fails."""
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(root), str(size)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.startswith("refused:"), done.stdout + done.stderr
    assert blob_names(root) == set()
    assert leftovers(root) == []


def test_a_file_in_place_of_the_store_is_a_clear_error(tmp_path):
    (tmp_path / "models").write_text("not a folder")
    store = LocalStore(tmp_path / "models")
    for action in (lambda: put(store), lambda: store.add(b"x")):
        with pytest.raises(StoreError, match="cannot write to the store") as caught:
            action()
        assert "MODELPACK_MODELS" in str(caught.value.hint)
    with pytest.raises(StoreError), store.adding():
        pass
    assert not store.has(BLOB)


def test_a_store_that_the_system_forbids_is_a_clear_error():
    with pytest.raises(StoreError, match="cannot write to the store"):
        put(LocalStore(Path("/proc/sys/modelpack")))


def test_a_blob_given_by_many_at_once_is_sound(store, root):
    data = os.urandom(300_000)
    blob = Descriptor.of(data, "a/b")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _number: put(store, blob, data), range(16)))
    assert_sound(root)
    assert leftovers(root) == []
