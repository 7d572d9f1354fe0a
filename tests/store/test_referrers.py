"""What refers to a model lives as long as the model does."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from support.models import SIGNATURE, manifest_of, sign

from modelpack.errors import ManifestError, NotFoundError
from modelpack.oci.reference import Reference
from modelpack.store.gc import collect
from modelpack.store.local import LocalStore
from modelpack.store.referrers import divide
from modelpack.store.survey import survey

NAME, OTHER = Reference.parse("ghcr.io/team/model:1"), Reference.parse("other:2")


@pytest.fixture
def store(tmp_path):
    return LocalStore(tmp_path / "models")


@pytest.fixture
def model(store):
    manifest = manifest_of(store, b"weights")
    store.name(NAME, manifest)
    return manifest


def blobs(store: LocalStore) -> set[str]:
    return {path.name for path in store.layout.blobs.iterdir()}


def test_a_referrer_is_found_by_its_subject_and_by_its_digest_but_has_no_name(store, model):
    signature = sign(store, model)
    (found,) = store.referrers(model.digest)
    assert (found.digest, found.artifact_type) == (signature.digest, SIGNATURE)
    assert store.referrers(model.digest, "application/else") == ()
    assert store.referrers(signature.digest) == ()
    assert store.resolve(Reference("", "x", "", signature.digest)).raw == signature.raw
    assert [entry.reference for entry in store.list(pytest.fail)] == [NAME]


def test_removing_the_last_name_removes_what_refers_to_it_and_what_refers_to_that(store, model):
    store.name(OTHER, model)
    sign(store, sign(store, model), b"signed again")
    store.remove([NAME])
    assert len(store.referrers(model.digest)) == 1
    store.remove([OTHER])
    assert blobs(store) == set()
    assert list(store.layout.referrers.iterdir()) == []


def test_a_layer_that_a_living_referrer_needs_stays(store, model):
    text = b"shared"
    sign(store, model, text)
    store.name(OTHER, manifest_of(store, text))
    before = blobs(store)
    store.remove([OTHER])
    assert blobs(store) == before


def test_prune_keeps_the_living_and_removes_the_dead(store, model):
    living = sign(store, model)
    absent = manifest_of(store, b"absent")
    dead = sign(store, absent, b"signed")
    found = collect(store.layout, time.time(), dry_run=True)
    assert [manifest.digest for manifest in found.referrers] == [dead.digest]
    collect(store.layout, time.time(), dry_run=False)
    assert [entry.digest for entry in store.referrers(model.digest)] == [living.digest]
    assert blobs(store) >= {f"sha256-{blob.digest.hex}" for blob in living.blobs}
    with pytest.raises(NotFoundError):
        store.resolve(Reference("", "x", "", dead.digest))


def test_a_name_that_cannot_be_read_keeps_every_referrer(store, model):
    sign(store, model)
    store.layout.manifest(NAME).write_text("{")
    collect(store.layout, time.time(), dry_run=False)
    assert len(store.referrers(model.digest)) == 1


def test_what_refers_to_a_model_counts_among_what_it_needs(store, model):
    signature = sign(store, model, b"a signature")
    needed = {blob.digest for blob in survey(store.layout).needs()[NAME.name]}
    assert needed == {blob.digest for m in (model, signature) for blob in m.blobs}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"{}"])
def test_a_damaged_referrer_is_listed_and_cannot_be_had(store, model, raw):
    signature = sign(store, model)
    store.layout.referrer(model.digest, signature.digest).write_bytes(raw)
    (entry,) = store.referrers(model.digest)
    assert entry.digest == signature.digest
    assert store.referrers(model.digest, SIGNATURE) == ()
    with pytest.raises(ManifestError, match="is damaged"):
        store.resolve(Reference("ghcr.io", "team/model", "", signature.digest))
    assert survey(store.layout).foreign == ()


def damage(store, subject, referrer):
    path = store.layout.referrer(subject.digest, referrer.digest)
    path.write_bytes(path.read_bytes()[:-1])
    return path


def test_a_damaged_referrer_keeps_every_blob_while_its_subject_is_here(store, model):
    path = damage(store, model, sign(store, model))
    before = blobs(store)
    (doubt,) = collect(store.layout, time.time(), dry_run=False).unreadable
    assert str(path) in str(doubt)
    assert blobs(store) == before
    store.name(OTHER, manifest_of(store, b"another"))
    assert store.remove([OTHER]) == 0
    assert blobs(store) > before


def test_a_damaged_referrer_goes_with_its_subject(store, model):
    path = damage(store, model, sign(store, model))
    store.remove([NAME])
    assert not path.exists()
    collect(store.layout, time.time(), dry_run=False)
    assert blobs(store) == set()
    dead = damage(store, model, sign(store, model))
    assert collect(store.layout, time.time(), dry_run=False).unreadable == ()
    assert not dead.exists()
    assert blobs(store) == set()


def test_a_folder_of_referrers_that_is_shut_keeps_every_blob(store, model, monkeypatch):
    sign(store, model)
    before = blobs(store)
    shut = store.layout.referrers_of(model.digest)
    iterdir = Path.iterdir

    def listed(folder):
        if folder == shut:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
        return iterdir(folder)

    monkeypatch.setattr(Path, "iterdir", listed)
    assert str(shut) in str(collect(store.layout, time.time(), dry_run=False).unreadable)
    assert blobs(store) == before


def test_two_referrers_in_a_circle_do_not_keep_each_other(store, model):
    first, second = sign(store, model), sign(store, manifest_of(store, b"gone"), b"x")
    living, dead = divide([model.digest], survey(store.layout).referrers)
    assert ([one.manifest for one in living], [one.manifest for one in dead]) == ([first], [second])
