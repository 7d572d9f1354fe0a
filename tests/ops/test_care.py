"""Check, repair and measure stores with real models in them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from fakes.models import MODELFILE, context_at
from fakes.registry import FakeRegistry
from support.ggufs import write_model
from support.models import LAYERED, add_blob, assert_sound, blob_names, make, opened

from modelpack.errors import IntegrityError, NotFoundError, StoreError
from modelpack.formats.artifact import Role
from modelpack.oci.manifest import OCI_MANIFEST, Manifest, canonical_json
from modelpack.oci.reference import Reference
from modelpack.ops.care import fsck, prune, usage
from modelpack.ops.models import copy_name, remove
from modelpack.ops.pull import pull
from modelpack.ops.push import push


@pytest.fixture
def context(tmp_path):
    return context_at(tmp_path)


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "weights.gguf")
    return tmp_path


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def pulled(context, folder, registry):
    """The name of a layered model that came from a registry."""
    name = f"{registry.host}/team/tiny:v1"
    make(context, MODELFILE, folder, "tiny", cut=LAYERED)
    push(context, "tiny", name)
    remove(context, ["tiny"])
    pull(context, name)
    registry.seen.clear()
    return name


def damage(context, name, number=0):
    """Change one byte of a blob, and return its digest."""
    blob = opened(context, name).artifact.of(Role.MODEL)[number].blob
    path = context.store.path(blob.digest)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    return blob.digest


def test_a_store_that_was_built_is_sound(context, folder):
    make(context, MODELFILE, folder, "tiny", cut=LAYERED)
    checkup = fsck(context)
    checkup.require_sound()
    assert checkup.blobs == len(blob_names(context.store.layout.root))
    assert checkup.size == sum(p.stat().st_size for p in context.store.layout.blobs.iterdir())
    assert (checkup.unreferenced, checkup.foreign, checkup.troubles) == ({}, (), ())


def test_an_empty_store_is_sound_and_is_not_created(context):
    fsck(context).require_sound()
    assert usage(context)[0].total == 0
    assert not context.store.layout.manifests.exists()


def test_a_damaged_blob_is_named_with_the_models_that_need_it(context, folder):
    make(context, MODELFILE, folder, "tiny")
    copy_name(context, "tiny", "other")
    digest = damage(context, "tiny")
    checkup = fsck(context)
    (trouble,) = checkup.troubles
    assert (trouble.kind, trouble.blob.digest) == ("damaged", digest)
    assert sorted(trouble.models) == ["other:latest", "tiny:latest"]
    with pytest.raises(IntegrityError, match=r"1 place: other:latest, tiny:latest"):
        checkup.require_sound()
    assert context.store.path(digest).exists()


def test_a_check_of_some_models_looks_at_their_blobs_only(context, folder):
    make(context, MODELFILE, folder, "tiny", cut=LAYERED)
    make(context, "FROM weights.gguf\nSYSTEM x", folder, "other")
    add_blob(context.store, b"stray")
    damage(context, "other")
    checkup = fsck(context, ["tiny"])
    checkup.require_sound()
    assert checkup.blobs == len(set(context.find("tiny").manifest.blobs))
    assert (checkup.unreferenced, checkup.foreign) == ({}, ())
    assert [trouble.models for trouble in fsck(context, ["other"]).troubles] == [("other:latest",)]
    with pytest.raises(NotFoundError):
        fsck(context, ["nothing"])


def test_a_damaged_manifest_is_damage(context, folder):
    make(context, MODELFILE, folder, "tiny")
    make(context, MODELFILE, folder, "other")
    path = context.store.layout.manifest(context.parse("tiny"))
    path.write_text("{")
    for texts in ((), ("tiny",)):
        checkup = fsck(context, texts)
        assert [item.name for item in checkup.unreadable] == ["tiny:latest"]
        with pytest.raises(IntegrityError, match="tiny:latest"):
            checkup.require_sound()
    fsck(context, ["other"]).require_sound()


def test_foreign_files_and_blobs_that_nobody_needs_are_told_but_are_no_damage(context, folder):
    make(context, MODELFILE, folder, "tiny")
    stray = add_blob(context.store, b"stray")
    foreign = context.store.layout.manifests / ".DS_Store"
    foreign.write_text("")
    checkup = fsck(context)
    checkup.require_sound()
    assert checkup.unreferenced == {stray.digest: 5}
    assert checkup.foreign == (foreign,)


def test_a_store_that_nobody_can_lock_can_be_checked_but_not_repaired(context, folder):
    make(context, MODELFILE, folder, "tiny")
    context.store.layout.lock.unlink()
    context.store.layout.lock.mkdir()
    fsck(context).require_sound()
    with pytest.raises(StoreError):
        fsck(context, repair=True)


def test_a_repair_fetches_what_is_damaged_or_missing_and_nothing_else(context, registry, pulled):
    copy_name(context, pulled, "a-local-name")
    damaged, missing = damage(context, pulled, 1), opened(context, pulled).manifest.config.digest
    context.store.path(missing).unlink()
    events = []
    checkup = fsck(context, repair=True, report=events.append)
    checkup.require_sound()
    assert {blob.digest for blob in checkup.repaired} == {damaged, missing}
    assert {blob.origin for blob in checkup.repaired} == {registry.host}
    asked = {seen.path.rpartition("/")[2] for seen in registry.asked("GET", "/blobs/")}
    assert asked == {str(damaged), str(missing)}
    assert {event.item for event in events if event.action == "pull"} == asked
    assert_sound(context.store.layout.root)
    assert fsck(context).repaired == ()


def test_a_repair_does_not_take_wrong_bytes(context, registry, pulled):
    digest = damage(context, pulled)
    registry.blobs[str(digest)] = bytes(len(registry.blobs[str(digest)]))
    checkup = fsck(context, repair=True)
    (trouble,) = checkup.troubles
    assert "sent" in trouble.problem
    assert context.store.path(digest).exists()
    with pytest.raises(IntegrityError, match=pulled):
        checkup.require_sound()


def test_a_repair_that_fails_leaves_the_blob_and_can_be_tried_again(context, registry, pulled):
    digest = damage(context, pulled)
    before = context.store.path(digest).read_bytes()
    kept = registry.blobs.pop(str(digest))
    (trouble,) = fsck(context, repair=True).troubles
    assert (trouble.kind, trouble.blob.digest) == ("damaged", digest)
    assert context.store.path(digest).read_bytes() == before
    registry.blobs[str(digest)] = kept
    fsck(context, repair=True).require_sound()
    damage(context, pulled)
    pull(context, pulled, verify=True)
    fsck(context).require_sound()


def test_a_registry_that_is_away_or_refuses_costs_no_blob(context, folder):
    make(context, MODELFILE, folder, "tiny")
    with FakeRegistry() as registry:
        push(context, "tiny", f"{registry.host}/team/tiny:v1")
        copy_name(context, "tiny", f"{registry.host}/team/tiny:v1")
        digest = damage(context, "tiny")
        registry.users = {"somebody": "else"}
        (trouble,) = fsck(context, repair=True).troubles
        assert "401" in trouble.problem
    (trouble,) = fsck(context, repair=True).troubles
    assert f"cannot reach {registry.host}" in trouble.problem
    assert context.store.path(digest).exists()


def test_a_full_disk_is_told_and_costs_no_blob(context, registry, pulled, monkeypatch):
    copy_name(context, pulled, f"{registry.host}/team/other:v1")
    digest = damage(context, pulled)

    def write(_descriptor, _data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("modelpack.store.blobs.write_all", write)
    checkup = fsck(context, repair=True)
    (trouble,) = checkup.troubles
    assert "no space left" in trouble.problem
    assert len(registry.asked("GET", "/blobs/")) == 1
    assert context.store.path(digest).exists()
    with pytest.raises(IntegrityError):
        checkup.require_sound()


@pytest.fixture
def shut(monkeypatch):
    """Makes a file one that nobody may read."""
    opened = Path.open
    paths = set()

    def open_(path, *args, **options):
        if path in paths:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", open_)
    return paths.add


def test_a_blob_that_cannot_be_read_is_not_called_damaged_and_stays(context, folder, shut):
    make(context, MODELFILE, folder, "tiny")
    digest = opened(context, "tiny").artifact.of(Role.MODEL)[0].blob.digest
    stray = add_blob(context.store, b"stray").digest
    for one in (digest, stray):
        shut(context.store.path(one))
    for repair in (False, True):
        checkup = fsck(context, repair=repair)
        found = {trouble.blob.digest: trouble for trouble in checkup.troubles}
        assert found.keys() == {digest, stray}
        assert {trouble.kind for trouble in found.values()} == {"unreadable"}
        assert all("Permission denied" in trouble.problem for trouble in found.values())
        with pytest.raises(IntegrityError, match=r"cannot be read in 2 places: tiny:latest"):
            checkup.require_sound()
    assert all(context.store.path(one).exists() for one in (digest, stray))


def test_what_cannot_be_looked_at_is_not_called_missing(context, folder):
    make(context, MODELFILE, folder, "tiny")
    path = context.store.path(opened(context, "tiny").artifact.of(Role.MODEL)[0].blob.digest)
    path.unlink()
    path.symlink_to(path.name)
    (trouble,) = fsck(context).troubles
    assert (trouble.kind, "symbolic links" in trouble.problem) == ("unreadable", True)
    path.unlink()
    assert [trouble.kind for trouble in fsck(context).troubles] == ["missing"]


def test_a_repair_says_what_no_registry_has(context, folder):
    make(context, MODELFILE, folder, "tiny")
    digest = damage(context, "tiny")
    (trouble,) = fsck(context, repair=True).troubles
    assert "no model that needs it has a registry" in trouble.problem
    assert context.store.path(digest).exists()
    assert [t.kind for t in fsck(context).troubles] == ["damaged"]
    remove(context, ["tiny"])
    make(context, MODELFILE, folder, "tiny")
    fsck(context).require_sound()


def test_a_repair_removes_damaged_blobs_that_nobody_needs(context):
    path = context.store.path(add_blob(context.store, b"stray").digest)
    path.write_bytes(b"other")
    checkup = fsck(context, repair=True)
    checkup.require_sound()
    assert [blob.origin for blob in checkup.repaired] == [""]
    assert not path.exists()


def test_a_repair_removes_none_that_an_unreadable_name_may_need(context, folder):
    make(context, MODELFILE, folder, "tiny")
    digest = damage(context, "tiny")
    context.store.layout.manifest(context.parse("tiny")).write_text("{")
    (trouble,) = fsck(context, repair=True).troubles
    assert "may need it" in trouble.problem
    assert context.store.path(digest).exists()


def test_unique_bytes_are_what_removing_frees(context, folder):
    make(context, MODELFILE, folder, "tiny", cut=LAYERED)
    make(context, "FROM weights.gguf\nSYSTEM " + "x" * 5_000, folder, "other", cut=LAYERED)
    for name in ("tiny", "other"):
        (cost,) = usage(context, [name])[0].models
        assert cost.size == context.find(name).manifest.size
        if name == "tiny":
            assert cost.shared > 0
        before = usage(context)[0].total
        assert remove(context, [name])[1] == cost.unique
        assert usage(context)[0].total == before - cost.unique
    assert usage(context)[0].total == 0


def test_a_prune_frees_what_usage_calls_unneeded(context, folder):
    make(context, MODELFILE, folder, "tiny")
    context.store.layout.manifest(context.parse("tiny")).unlink()
    unneeded = usage(context)[0].unneeded
    assert unneeded > 0
    assert prune(context, dry_run=True).freed == unneeded
    assert prune(context).freed == unneeded
    assert usage(context)[0].total == 0


@pytest.fixture
def signed(context, registry, pulled):
    """A signature of the model *pulled*, which the registry has as well."""
    model = context.find(pulled).manifest
    layer = registry.add_blob(b"a signature")
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": "application/x.signature",
        "config": registry.add_blob(b"{}"),
        "layers": [layer],
        "subject": model.descriptor.to_json(),
    }
    manifest = Manifest.parse(canonical_json(value))
    registry.add_manifest("team/tiny", manifest.raw)
    for data in (b"{}", b"a signature"):
        context.store.add(data)
    context.store.name(Reference(registry.host, "team/tiny", "", manifest.digest), manifest)
    fsck(context).require_sound()
    return manifest


@pytest.mark.parametrize("raw", [b"", b"{}", b"{"])
def test_a_damaged_signature_is_told_and_keeps_its_blobs(context, pulled, signed, raw):
    path = context.store.layout.referrer(signed.subject.digest, signed.digest)
    path.write_bytes(raw)
    for texts in ((), (pulled,)):
        checkup = fsck(context, texts)
        (trouble,) = checkup.troubles
        assert (trouble.kind, trouble.blob.digest) == ("damaged", signed.digest)
        assert str(signed.subject.digest) in trouble.problem
        assert checkup.unreferenced == {}
        with pytest.raises(IntegrityError, match=pulled):
            checkup.require_sound()
    assert prune(context).blobs == {}
    assert [item.subject for item in usage(context)[1]] == [signed.subject.digest]


def test_a_repair_fetches_a_damaged_signature_and_its_blobs(context, registry, pulled, signed):
    path = context.store.layout.referrer(signed.subject.digest, signed.digest)
    path.write_bytes(b"{")
    blob = signed.layers[0].digest
    context.store.path(blob).write_bytes(b"A signature")
    kept = registry.manifests.pop(("team/tiny", str(signed.digest)))
    troubles = fsck(context, repair=True).troubles
    assert {trouble.blob.digest for trouble in troubles} == {signed.digest, blob}
    assert context.store.path(blob).exists()
    assert path.read_bytes() == b"{"
    registry.manifests["team/tiny", str(signed.digest)] = kept
    checkup = fsck(context, repair=True)
    checkup.require_sound()
    assert {item.digest: item.origin for item in checkup.repaired} == {
        signed.digest: registry.host,
        blob: registry.host,
    }
    assert path.read_bytes() == signed.raw
    assert prune(context).blobs == {}
    assert_sound(context.store.layout.root)


def test_a_signature_that_cannot_be_read_is_not_called_damaged(context, signed, shut):
    shut(context.store.layout.referrer(signed.subject.digest, signed.digest))
    (trouble,) = fsck(context).troubles
    assert trouble.kind == "unreadable"
    assert "Permission denied" in trouble.problem
