"""What a prune takes and what it leaves."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest
from support.models import add_blob, blob_names, leftovers, manifest_of

from modelpack.errors import StoreError
from modelpack.oci.digest import Digest
from modelpack.oci.reference import Reference
from modelpack.store.gc import RESUMABLE_S, TEMPORARY_S, collect, stale, unneeded
from modelpack.store.local import LocalStore
from modelpack.store.survey import Leftover

NOW = 2_000_000_000.0
PART = f"sha256-{'a' * 64}.part"
JOURNAL = f"sha256-{'a' * 64}.json"


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "models")


def name(store, text, *layers):
    manifest = manifest_of(store, *layers)
    store.name(Reference.parse(text), manifest)
    return manifest


def left(file, age, *, held=False):
    return Leftover(Path(file), 10, NOW - age, held)


def leave(store, file, age):
    path = store.layout.ingest / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"0123456789")
    os.utime(path, (NOW - age, NOW - age))
    return path


def prune(store, *, dry_run=False):
    return collect(store.layout, NOW, dry_run=dry_run)


def test_a_blob_is_unneeded_when_no_manifest_lists_it(store):
    first, second = manifest_of(store, b"a", b"b"), manifest_of(store, b"b", b"c")
    stray = Digest.of(b"stray")
    blobs = {blob.digest: blob.size for m in (first, second) for blob in m.blobs} | {stray: 5}
    assert unneeded(blobs, [first, second]) == {stray: 5}
    assert unneeded(blobs, [second]) == {stray: 5, Digest.of(b"a"): 1}
    assert unneeded(blobs, []) == blobs
    assert unneeded({}, [first]) == {}


@pytest.mark.parametrize(
    ("file", "limit"),
    [
        (PART, RESUMABLE_S),
        (JOURNAL, RESUMABLE_S),
        ("upload-0123.json", RESUMABLE_S),
        ("tmpx8", TEMPORARY_S),
    ],
)
def test_a_leftover_is_stale_when_it_is_older_than_its_kind_is_kept(file, limit):
    assert stale([left(file, limit - 1)], NOW) == []
    old = left(file, limit + 1)
    assert stale([old], NOW) == [old]


def test_a_file_from_the_future_is_kept():
    assert stale([left("tmp", -10_000), left(PART, -10_000)], NOW) == []


def test_a_partial_file_and_its_journal_go_together():
    old, young = left(PART, RESUMABLE_S + 1), left(JOURNAL, 5)
    assert stale([old, young], NOW) == []
    old_journal = left(JOURNAL, RESUMABLE_S + 5)
    assert stale([old, old_journal], NOW) == [old, old_journal]


def test_a_locked_file_keeps_itself_and_its_journal():
    files = [left(PART, RESUMABLE_S + 1, held=True), left(JOURNAL, RESUMABLE_S + 1)]
    assert stale(files, NOW) == []
    assert stale([left("tmp", TEMPORARY_S + 1, held=True)], NOW) == []


def test_json_that_is_no_journal_is_any_other_file():
    assert len(stale([left("notes.json", TEMPORARY_S + 1)], NOW)) == 1


def test_a_prune_removes_what_no_name_needs_and_nothing_else(store):
    name(store, "host.example/team/a:1", b"shared", b"a")
    name(store, "b", b"shared", b"b")
    kept = blob_names(store.layout.root)
    stray = add_blob(store, b"stray")
    pruned = prune(store)
    assert pruned.blobs == {stray.digest: 5}
    assert pruned.freed == 5
    assert blob_names(store.layout.root) == kept
    assert prune(store).freed == 0


def test_a_dry_run_removes_nothing(store):
    add_blob(store, b"stray")
    leave(store, "tmp", TEMPORARY_S + 1)
    (store.layout.manifests / "local/empty").mkdir(parents=True)
    would = prune(store, dry_run=True)
    assert would.freed == 15
    assert blob_names(store.layout.root)
    assert prune(store) == would
    assert blob_names(store.layout.root) == set()
    assert leftovers(store.layout.root) == []
    assert not (store.layout.manifests / "local").exists()


def test_a_prune_leaves_foreign_files_among_the_blobs(store):
    add_blob(store, b"stray")
    foreign = [store.layout.blobs / "README", store.layout.blobs / f"sha256-{'a' * 64}-partial"]
    for path in foreign:
        path.write_text("hello")
    prune(store)
    assert sorted(store.layout.blobs.iterdir()) == sorted(foreign)


@pytest.mark.parametrize("path", ["local/m/latest", "stray"])
def test_where_a_name_cannot_be_read_every_blob_stays(store, path):
    stray = add_blob(store, b"stray")
    leave(store, "tmp", TEMPORARY_S + 1)
    broken = store.layout.manifests / path
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    pruned = prune(store)
    assert pruned.blobs == {}
    assert [str(broken) in str(item) for item in pruned.unreadable] == [True]
    assert store.has(stray)
    assert leftovers(store.layout.root) == []
    broken.unlink()
    assert prune(store).blobs == {stray.digest: 5}


def test_a_folder_that_is_shut_keeps_every_blob(store, monkeypatch):
    name(store, "m", b"a")
    stray = add_blob(store, b"stray")
    shut = str(store.layout.manifests / "local")
    scandir = os.scandir

    def scan(folder):
        if str(folder) == shut:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    assert prune(store).unreadable
    assert store.has(stray)


def test_a_prune_keeps_young_and_locked_leftovers(store):
    young = leave(store, "tmpyoung", TEMPORARY_S - 60)
    resumable = [leave(store, file, TEMPORARY_S * 5) for file in (PART, JOURNAL)]
    locked = leave(store, f"sha256-{'b' * 64}.part", RESUMABLE_S * 2)
    with locked.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert prune(store).leftovers == ()
        assert leftovers(store.layout.root) == sorted(
            path.name for path in (young, *resumable, locked)
        )
    assert [file.path for file in prune(store).leftovers] == [locked]


def test_a_prune_removes_folders_without_names_up_to_the_top(store):
    name(store, "host.example/team/kept", b"a")
    for folder in ("host.example/team/gone/deep", "other.example"):
        (store.layout.manifests / folder).mkdir(parents=True)
    gone = [str(path.relative_to(store.layout.manifests)) for path in prune(store).folders]
    assert sorted(gone) == [
        "host.example/team/gone", "host.example/team/gone/deep", "other.example",
    ]  # fmt: skip
    assert store.find(Reference.parse("host.example/team/kept")) is not None
    assert not (store.layout.manifests / "other.example").exists()


def test_a_prune_refuses_while_somebody_is_adding_or_reading(store):
    add_blob(store, b"stray")
    for holding in (store.adding, store.reading):
        with holding(), pytest.raises(StoreError, match="in use") as refused:
            prune(store)
        assert refused.value.hint
    assert blob_names(store.layout.root)
    assert prune(store).freed == 5


def test_a_dry_run_tells_while_somebody_is_adding_or_reading(store):
    stray = add_blob(store, b"stray")
    for holding in (store.adding, store.reading):
        with holding():
            would = prune(store, dry_run=True)
        assert (would.blobs, would.busy) == ({stray.digest: 5}, True)
    assert not prune(store, dry_run=True).busy
    assert store.has(stray)


def test_a_store_that_is_not_there_is_not_created(store):
    assert prune(store).freed == 0
    assert not store.layout.root.exists()
