from __future__ import annotations

import errno
import os
import random

import pytest
from support.ggufs import parsed, shard_bytes, write_model
from support.models import assert_sound, blob_names, leftovers

from modelpack.builder.ingest import ingest_file, ingest_shards
from modelpack.errors import InputError, NotFoundError, StoreError
from modelpack.gguf.group import plan_groups
from modelpack.gguf.split import plan_split
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.store.local import LocalStore


def ignore(_count: int) -> None:
    """Nobody wants to know."""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def store(root):
    return LocalStore(root)


def shards_of(data: bytes, size: int = 20_000):
    header = parsed(data)
    groups = plan_groups(header.tensors, max_size=size, layering="block", max_groups=99)
    return plan_split(header, groups)


@pytest.mark.parametrize("size", [0, 1, 131_071, 131_072, 131_073, 1_000_000])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_becomes_one_blob(store, root, tmp_path, size, link):
    data = random.Random(size).randbytes(size)
    path = tmp_path / "file"
    path.write_bytes(data)
    moved = []
    blob = ingest_file(store, path, link=link, advance=moved.append)
    assert blob == Descriptor.of(data, "")
    assert store.path(blob.digest).read_bytes() == data
    assert sum(moved) == size
    assert leftovers(root) == []


def test_a_file_is_linked_on_request(store, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    path.chmod(0o600)
    blob = ingest_file(store, path, link=True, advance=ignore)
    assert store.path(blob.digest).samefile(path)
    assert path.stat().st_mode & 0o777 == 0o600
    other = LocalStore(tmp_path / "other")
    blob = ingest_file(other, path, link=False, advance=ignore)
    assert not other.path(blob.digest).samefile(path)


def test_a_link_to_a_file_is_followed(store, tmp_path):
    (tmp_path / "real").write_bytes(b"weights")
    (tmp_path / "link").symlink_to("real")
    blob = ingest_file(store, tmp_path / "link", link=True, advance=ignore)
    assert not store.path(blob.digest).is_symlink()
    assert store.path(blob.digest).read_bytes() == b"weights"


def test_a_file_taken_again_is_one_blob(store, root, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"weights")
    first = ingest_file(store, path, link=False, advance=ignore)
    assert ingest_file(store, path, link=False, advance=ignore) == first
    assert len(blob_names(root)) == 1
    assert leftovers(root) == []


@pytest.mark.parametrize("link", [False, True])
@pytest.mark.parametrize("at", [0, 200_000, 299_999])
def test_a_damaged_blob_is_replaced_by_the_file(store, root, tmp_path, link, at):
    path = tmp_path / "file"
    path.write_bytes(random.Random(1).randbytes(300_000))
    blob = ingest_file(store, path, link=False, advance=ignore)
    flip(store.path(blob.digest), at)
    assert ingest_file(store, path, link=link, advance=ignore) == blob
    assert store.path(blob.digest).read_bytes() == path.read_bytes()
    assert leftovers(root) == []


def test_a_sound_blob_stays_where_the_file_is_taken_again(store, root, tmp_path):
    path = tmp_path / "m.gguf"
    shards = shards_of(write_model(path))
    whole = ingest_file(store, path, link=False, advance=ignore)
    blobs, _ = ingest_shards(store, path, shards, ignore)
    before = {store.path(blob.digest).stat().st_ino for blob in (whole, *blobs)}
    assert ingest_file(store, path, link=True, advance=ignore) == whole
    assert ingest_shards(store, path, shards, ignore)[0] == blobs
    assert {store.path(blob.digest).stat().st_ino for blob in (whole, *blobs)} == before
    assert leftovers(root) == []


def test_a_damaged_shard_is_replaced(store, root, tmp_path):
    shards = shards_of(write_model(tmp_path / "m.gguf"))
    blobs, _ = ingest_shards(store, tmp_path / "m.gguf", shards, ignore)
    flip(store.path(blobs[0].digest), 10)
    store.path(blobs[-1].digest).write_bytes(b"")
    ingest_shards(store, tmp_path / "m.gguf", shards, ignore)
    assert_sound(root)
    assert leftovers(root) == []


def flip(path, at):
    """Change one byte of *path*."""
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_missing_file_is_not_found(store, root, tmp_path):
    with pytest.raises(NotFoundError):
        ingest_file(store, tmp_path / "gone", link=False, advance=ignore)
    assert leftovers(root) == []


def test_shards_are_what_the_plan_says(store, root, tmp_path):
    data = write_model(tmp_path / "m.gguf")
    shards = shards_of(data)
    moved = []
    blobs, digest = ingest_shards(store, tmp_path / "m.gguf", shards, moved.append)
    assert digest == Digest.of(data)
    assert [store.path(b.digest).read_bytes() for b in blobs] == [
        shard_bytes(data, shard) for shard in shards
    ]
    assert sum(moved) <= 2 * len(data)
    assert leftovers(root) == []
    assert_sound(root)


def changing(path, how):
    """Change *path* once, as soon as the first bytes of it have moved."""
    done = []

    def advance(_count: int) -> None:
        if not done:
            done.append(True)
            how(path)

    return advance


def longer(path):
    with path.open("ab") as file:
        file.write(b"more")


def touched(path):
    os.utime(path, ns=(1, 1))


def shorter(path):
    os.truncate(path, 1000)


@pytest.mark.parametrize("how", [longer, touched, shorter])
@pytest.mark.parametrize("link", [False, True])
def test_a_file_that_changes_meanwhile_is_refused(store, root, tmp_path, how, link):
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    with pytest.raises(InputError, match="while it was read"):
        ingest_file(store, path, link=link, advance=changing(path, how))
    assert leftovers(root) == []


@pytest.mark.parametrize("how", [longer, touched, shorter])
def test_a_model_that_changes_while_it_is_cut_is_refused(store, root, tmp_path, how):
    path = tmp_path / "m.gguf"
    shards = shards_of(write_model(path, blocks=4, width=256))
    with pytest.raises(InputError, match="while it was read"):
        ingest_shards(store, path, shards, changing(path, how))
    assert leftovers(root) == []
    assert_sound(root)


def test_a_full_disk_leaves_nothing_half_written(store, root, tmp_path, monkeypatch):
    path = tmp_path / "m.gguf"
    shards = shards_of(write_model(path))
    calls = []
    write = os.write

    def full(descriptor, data):
        calls.append(len(data))
        if len(calls) > 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[: len(data) // 2 + 1])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(StoreError, match="no space left") as caught:
        ingest_shards(store, path, shards, ignore)
    assert "MODELPACK_MODELS" in str(caught.value.hint)
    with pytest.raises(StoreError, match="no space left"):
        ingest_file(store, path, link=False, advance=ignore)
    monkeypatch.undo()
    assert leftovers(root) == []
    assert_sound(root)
