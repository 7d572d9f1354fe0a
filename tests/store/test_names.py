from __future__ import annotations

import os

import pytest
from support.models import add_blob, leftovers, manifest_of

from modelpack.errors import InputError, IntegrityError, NotFoundError, StoreError
from modelpack.oci.manifest import encode
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore


@pytest.fixture
def root(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def store(root):
    return LocalStore(root)


def named(store, text, *layers):
    manifest = manifest_of(store, *(layers or (text.encode(),)))
    store.name(Reference.parse(text), manifest)
    return manifest


def listed(store):
    warnings = []
    return [entry.reference.name for entry in store.list(warnings.append)], warnings


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("model", "local/model/latest"),
        ("team/model:1", "local/team/model/1"),
        ("registry.ollama.ai/library/llama3:8b", "registry.ollama.ai/library/llama3/8b"),
        ("localhost:5000/a/b/c:x", "localhost:5000/a/b/c/x"),
        ("[::1]:5000/m", "[::1]:5000/m/latest"),
    ],
)
def test_a_name_is_a_file_with_the_bytes_of_the_manifest(store, root, text, path):
    manifest = named(store, text)
    assert (root / "manifests" / path).read_bytes() == manifest.raw
    assert store.resolve(Reference.parse(text)).raw == manifest.raw
    assert listed(store) == ([Reference.parse(text).name], [])


def test_a_name_appears_only_with_all_blobs(store):
    reference = Reference.parse("model")
    manifest = manifest_of(store, b"layer")
    store.path(manifest.layers[0].digest).unlink()
    with pytest.raises(IntegrityError, match="not in the store"):
        store.name(reference, manifest)
    assert store.find(reference) is None
    store.add(b"layer")
    store.path(manifest.config.digest).write_bytes(b"wrong size")
    with pytest.raises(IntegrityError):
        store.name(reference, manifest)
    assert listed(store) == ([], [])


def test_a_name_can_move_to_another_manifest(store):
    named(store, "model", b"one")
    second = named(store, "model", b"two")
    assert store.resolve(Reference.parse("model")).digest == second.digest
    assert listed(store)[0] == ["model:latest"]


def test_a_name_that_is_not_there_is_not_found(store):
    assert store.find(Reference.parse("model")) is None
    with pytest.raises(NotFoundError):
        store.resolve(Reference.parse("model"))
    named(store, "model/inner:x")
    assert store.find(Reference.parse("model:inner")) is None


def test_a_half_written_name_never_shows(store, root, monkeypatch):
    first = named(store, "model", b"one")
    second = manifest_of(store, b"two")

    def fail(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match="no space left"):
        store.name(Reference.parse("model"), second)
    assert store.resolve(Reference.parse("model")).digest == first.digest
    assert leftovers(root) == []


def test_a_tag_and_a_repository_cannot_share_a_path(store):
    named(store, "a:b")
    with pytest.raises(StoreError, match="same path") as caught:
        named(store, "a/b:c")
    assert caught.value.hint
    named(store, "x/y:z")
    with pytest.raises(StoreError, match="same path"):
        named(store, "x:y")
    assert listed(store)[0] == ["a:b", "x/y:z"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"not json", b"\xff" * 100, b"[" * 100_000, b"x" * (5 << 20)]
)
def test_a_damaged_manifest_is_reported_and_hides_nobody(store, root, content):
    named(store, "good")
    named(store, "bad")
    (root / "manifests/local/bad/latest").write_bytes(content)
    names, warnings = listed(store)
    assert names == ["good:latest"]
    assert len(warnings) == 1
    assert "bad/latest" in warnings[0]
    with pytest.raises(InputError):
        store.find(Reference.parse("bad"))


@pytest.mark.parametrize(
    "place",
    [
        ".DS_Store",
        "README",
        "local/README",
        "local/model/.hidden",
        "local/UPPER/latest",
        "host.example/Team/Model/latest",
        "nodot/model/latest",
        "local/a/b c",
    ],
)
def test_a_foreign_file_is_reported_and_hides_nobody(store, root, place):
    named(store, "model:1")
    path = root / "manifests" / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(store.resolve(Reference.parse("model:1")).raw)
    names, warnings = listed(store)
    assert names == ["model:1"]
    assert len(warnings) == 1


def test_links_in_a_circle_do_not_stop_a_listing(store, root):
    named(store, "model:1")
    (root / "manifests/local/loop").symlink_to(root / "manifests")
    (root / "manifests/local/model/self").symlink_to("self")
    names, _ = listed(store)
    assert names == ["model:1"]


def test_an_empty_store_lists_nothing(store):
    assert listed(store) == ([], [])


def test_a_digest_finds_the_model_whatever_its_tag(store):
    manifest = named(store, "team/model:8b")
    found = store.find(Reference.parse(f"team/model@{manifest.digest}"))
    assert found is not None
    assert found.manifest.digest == manifest.digest
    assert store.find(Reference.parse(f"other@{manifest.digest}")) is None


def test_a_tag_with_another_digest_is_not_that_model(store):
    manifest = named(store, "model:1")
    other = named(store, "other:1")
    assert store.find(Reference.parse(f"model:1@{manifest.digest}")) is not None
    assert store.find(Reference.parse(f"model:1@{other.digest}")) is None


def test_a_model_stored_by_digest_alone_is_listed_and_found(store):
    manifest = manifest_of(store, b"layer")
    reference = Reference.parse(f"ghcr.io/m@{manifest.digest}")
    store.name(reference, manifest)
    assert store.resolve(reference).digest == manifest.digest
    assert listed(store) == ([f"ghcr.io/m:sha256-{manifest.digest.hex}"], [])


def remove(store, *texts):
    return store.remove([Reference.parse(text) for text in texts])


def test_removing_a_model_frees_its_blobs(store, root):
    manifest = named(store, "model", b"layer")
    assert remove(store, "model") == manifest.size
    assert list((root / "blobs").iterdir()) == []
    assert listed(store) == ([], [])
    assert list((root / "manifests").iterdir()) == []


def test_removing_a_model_keeps_what_others_need(store):
    first = named(store, "one", b"shared", b"only one")
    second = named(store, "two", b"shared")
    assert remove(store, "one") == len(b"only one")
    assert all(store.has(blob) for blob in second.blobs)
    assert not store.has(first.layers[1])


def test_removing_one_of_two_names_frees_nothing(store):
    manifest = named(store, "one", b"layer")
    store.name(Reference.parse("two"), manifest)
    assert remove(store, "one") == 0
    assert store.resolve(Reference.parse("two")).digest == manifest.digest
    assert remove(store, "two") == manifest.size


def test_removing_a_name_twice_in_one_go_is_no_error(store):
    manifest = named(store, "model", b"layer")
    assert remove(store, "model", "model:latest") == manifest.size


def test_removing_leaves_blobs_that_nobody_named(store):
    loose = add_blob(store, b"being built")
    named(store, "model", b"layer")
    remove(store, "model")
    assert store.has(loose)


def test_removing_frees_nothing_while_somebody_adds(store):
    manifest = named(store, "model", b"layer")
    with LocalStore(store.layout.root).adding():
        assert remove(store, "model") == 0
    assert store.find(Reference.parse("model")) is None
    assert all(store.has(blob) for blob in manifest.blobs)


def test_removing_frees_nothing_while_another_name_cannot_be_read(store, root):
    manifest = named(store, "model", b"layer")
    named(store, "bad")
    (root / "manifests/local/bad/latest").write_bytes(b"damaged")
    assert remove(store, "model") == 0
    assert all(store.has(blob) for blob in manifest.blobs)
    assert store.find(Reference.parse("model")) is None


def test_removing_frees_nothing_while_a_folder_cannot_be_read(store, root, monkeypatch):
    manifest = named(store, "model", b"layer")
    named(store, "shut/model", b"layer")
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    names, warnings = listed(store)
    assert names == ["model:latest"]
    assert len(warnings) == 1
    assert remove(store, "model") == 0
    assert all(store.has(blob) for blob in manifest.blobs)


def test_removing_a_damaged_name_works(store, root):
    named(store, "bad")
    (root / "manifests/local/bad/latest").write_bytes(b"damaged")
    remove(store, "bad")
    assert listed(store) == ([], [])


def test_removing_by_digest_removes_the_name(store):
    manifest = named(store, "model:8b", b"layer")
    assert remove(store, f"model@{manifest.digest}") == manifest.size
    assert listed(store) == ([], [])


def test_removing_keeps_neighbours(store):
    named(store, "team/model:1")
    named(store, "team/model:2")
    named(store, "team/model/inner:1")
    remove(store, "team/model:1")
    assert listed(store)[0] == ["team/model:2", "team/model/inner:1"]


def test_a_hostile_manifest_cannot_name_files_outside(store, root):
    raw = encode(
        artifact_type="a/b", config=add_blob(store, b"{}"), layers=[], annotations={}
    ).raw.replace(b"sha256:", b"sha256:../")
    path = root / "manifests/local/evil/latest"
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    with pytest.raises(InputError):
        store.find(Reference.parse("evil"))
