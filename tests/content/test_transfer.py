from __future__ import annotations

import io
import threading
from contextlib import contextmanager

import pytest
from support.models import add_blob, assert_sound, blob_names, leftovers, manifest_of

from modelpack.content.transfer import CopyOptions, copy
from modelpack.errors import IntegrityError, ManifestError, NotFoundError, StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import encode
from modelpack.oci.reference import Reference
from modelpack.progress import TOTAL, Event
from modelpack.store.local import LocalStore

NAME = Reference.parse("ghcr.io/team/model:1")
OTHER = Reference.parse("other:2")
PULL = CopyOptions(action="pull")


class Recording(LocalStore):
    """A store that keeps a list of what was done to it."""

    def __init__(self, root) -> None:
        super().__init__(root)
        self.calls: list[tuple[str, str]] = []
        self._guard = threading.Lock()

    def put(self, blob, body, advance) -> None:
        super().put(blob, body, advance)
        with self._guard:
            self.calls.append(("put", str(blob.digest)))

    def name(self, reference, manifest) -> None:
        super().name(reference, manifest)
        self.calls.append(("name", str(reference)))


class Damaged(LocalStore):
    """A store that gives other bytes than it promised, for one blob."""

    def __init__(self, root, bad: Descriptor, given: bytes) -> None:
        super().__init__(root)
        self._bad, self._given = bad.digest, given

    @contextmanager
    def open(self, blob):
        if blob.digest == self._bad:
            yield io.BytesIO(self._given)
            return
        with super().open(blob) as body:
            yield body


@pytest.fixture
def source(tmp_path):
    store = LocalStore(tmp_path / "source")
    store.name(NAME, manifest_of(store, b"a" * 300_000, b"b", b""))
    return store


@pytest.fixture
def sink(tmp_path):
    return Recording(tmp_path / "sink")


def test_copy_brings_all_blobs_and_the_same_manifest(source, sink):
    manifest = copy(source, sink, (NAME, OTHER), PULL)
    assert sink.resolve(OTHER).raw == manifest.raw == source.resolve(NAME).raw
    for blob in manifest.blobs:
        assert sink.read(blob, 10**6) == source.read(blob, 10**6)
    assert_sound(sink.layout.root)
    assert leftovers(sink.layout.root) == []


def test_copy_names_the_model_last(source, sink):
    copy(source, sink, (NAME, OTHER), PULL)
    assert sink.calls[-1] == ("name", "other:2")
    assert [what for what, _ in sink.calls].count("put") == 4


def test_copy_moves_nothing_that_is_there(source, sink):
    manifest = copy(source, sink, (NAME, OTHER), PULL)
    sink.calls.clear()
    events = []
    copy(source, sink, (NAME, NAME), PULL, events.append)
    assert sink.calls == [("name", "ghcr.io/team/model:1")]
    _, *said, _ = events
    assert {event.note for event in said} == {"exists"}
    assert {event.item for event in said} == {str(b.digest) for b in manifest.blobs}


def test_copy_says_first_and_last_how_much_there_is_in_all(source, sink):
    events = []
    manifest = copy(source, sink, (NAME, OTHER), PULL, events.append)
    size = sum(blob.size for blob in manifest.blobs)
    first, *said, last = events
    assert first == Event(action="pull", item=TOTAL, total=size)
    assert last == Event(action="pull", item=TOTAL, total=size, completed=size, done=True)
    assert TOTAL not in {event.item for event in said}
    assert sum(event.completed for event in said if event.done) == size


def test_copy_replaces_a_blob_of_the_wrong_size(source, sink):
    manifest = copy(source, sink, (NAME, OTHER), PULL)
    sink.path(manifest.layers[0].digest).write_bytes(b"short")
    copy(source, sink, (NAME, OTHER), PULL)
    assert_sound(sink.layout.root)


def test_copy_moves_a_blob_that_is_listed_twice_once(source, sink):
    blob = add_blob(source, b"twice")
    titles = [
        Descriptor(blob.media_type, blob.digest, blob.size, {"title": title}) for title in "ab"
    ]
    manifest = encode(
        artifact_type="a/b", config=add_blob(source, b"{}"), layers=titles, annotations={}
    )
    source.name(NAME, manifest)
    copy(source, sink, (NAME, OTHER), PULL)
    assert [what for what, _ in sink.calls] == ["put", "put", "name"]


def test_copy_reports_bytes_that_never_fall_and_an_end(source, sink):
    events = []
    manifest = copy(source, sink, (NAME, OTHER), PULL, events.append)
    for blob in manifest.blobs:
        mine = [event for event in events if event.item == str(blob.digest)]
        counts = [event.completed for event in mine]
        assert counts == sorted(counts)
        assert mine[-1].done
        assert mine[-1].completed == mine[-1].total == blob.size
        assert {event.action for event in mine} == {"pull"}


@pytest.mark.parametrize("given", [b"", b"a" * 299_999, b"a" * 300_001, b"x" * 300_000])
def test_copy_of_damaged_bytes_leaves_no_name(source, sink, given):
    manifest = source.resolve(NAME)
    damaged = Damaged(source.layout.root, manifest.layers[0], given)
    with pytest.raises(IntegrityError):
        copy(damaged, sink, (NAME, OTHER), PULL)
    assert sink.find(OTHER) is None
    assert not sink.has(manifest.layers[0])
    assert leftovers(sink.layout.root) == []
    assert_sound(sink.layout.root)


def test_copy_of_a_missing_blob_leaves_no_name(source, sink):
    manifest = source.resolve(NAME)
    source.path(manifest.config.digest).unlink()
    with pytest.raises(NotFoundError):
        copy(source, sink, (NAME, OTHER), PULL)
    assert sink.find(OTHER) is None


def test_copy_can_be_repeated_after_a_failure(source, sink):
    damaged = Damaged(source.layout.root, source.resolve(NAME).layers[0], b"")
    with pytest.raises(IntegrityError):
        copy(damaged, sink, (NAME, OTHER), PULL)
    copy(source, sink, (NAME, OTHER), PULL)
    assert sink.find(OTHER) is not None


def test_copy_of_an_unknown_name_moves_nothing(source, sink):
    with pytest.raises(NotFoundError):
        copy(source, sink, (OTHER, OTHER), PULL)
    assert blob_names(sink.layout.root) == set()


def test_copy_may_refuse_a_manifest_before_anything_moves(source, sink):
    def refuse(_manifest):
        raise ManifestError("no")

    with pytest.raises(ManifestError):
        copy(source, sink, (NAME, OTHER), CopyOptions(action="pull", check=refuse))
    assert sink.calls == []


def test_copy_to_a_store_that_cannot_be_written_fails_with_a_hint(source, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        copy(source, LocalStore(tmp_path / "file" / "store"), (NAME, OTHER), PULL)
    assert "MODELPACK_MODELS" in str(caught.value.hint)


def test_copy_prefers_to_mount(source, tmp_path):
    class Mounting(Recording):
        """A store that can take blobs over."""

        def mount(self, blob) -> bool:
            with source.open(blob) as body:
                super().put(blob, body, lambda _count: None)
            self.calls.pop()
            return True

    sink = Mounting(tmp_path / "sink")
    events = []
    copy(source, sink, (NAME, OTHER), CopyOptions(action="push"), events.append)
    assert sink.calls == [("name", "other:2")]
    assert {event.note for event in events[1:-1]} == {"mounted"}


def test_copy_with_one_worker_moves_leaves_in_order(source, sink):
    manifest = copy(source, sink, (NAME, OTHER), CopyOptions(action="pull", concurrency=1))
    moved = [digest for what, digest in sink.calls if what == "put"]
    assert moved == [str(blob.digest) for blob in manifest.blobs]
