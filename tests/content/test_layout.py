"""A folder in OCI image layout: what is written, what is read, and what is refused."""

from __future__ import annotations

import hashlib
import io
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.models import manifest_of

from modelpack import limits
from modelpack.content.layout import FolderLayout
from modelpack.content.referrers import copy_with_referrers
from modelpack.content.transfer import CopyOptions, copy
from modelpack.errors import (
    InputError,
    IntegrityError,
    LimitError,
    ManifestError,
    NotFoundError,
    StoreError,
)
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import OCI_INDEX, OCI_MANIFEST, Manifest, canonical_json
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore

NAME = Reference.parse("ghcr.io/team/model:1")
OTHER = Reference.parse("other:2")
HOW = CopyOptions(action="push")
REF = "org.opencontainers.image.ref.name"


@pytest.fixture
def source(tmp_path):
    store = LocalStore(tmp_path / "source")
    store.name(NAME, manifest_of(store, b"a" * 300_000, b"b", b""))
    return store


@pytest.fixture
def layout(tmp_path):
    return FolderLayout.create(tmp_path / "layout")


def read(layout, blob):
    with layout.open(blob) as body:
        return body.read(10**6)


def entries(layout):
    return json.loads((layout.root / "index.json").read_bytes())["manifests"]


def put(layout, data, media_type="application/x"):
    blob = Descriptor.of(data, media_type)
    layout.put(blob, io.BytesIO(data), lambda _count: None)
    return blob


def about(layout, subject, kind="application/x.signature"):
    """Put a manifest that refers to *subject* into *layout*."""
    value = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": kind,
        "config": put(layout, b"{}").to_json(),
        "layers": [put(layout, b"signed " + kind.encode()).to_json()],
        "subject": subject.to_json(),
    }
    manifest = Manifest.parse(canonical_json(value))
    layout.name(Reference("", "x", "", manifest.digest), manifest)
    return manifest


def test_a_copy_into_a_layout_and_back_is_the_same_model(source, layout, tmp_path):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    back = LocalStore(tmp_path / "back")
    assert copy(FolderLayout(layout.root), back, (NAME, OTHER), HOW).raw == manifest.raw
    for blob in manifest.blobs:
        assert back.read(blob, 10**6) == source.read(blob, 10**6)


def test_the_folder_is_what_the_specification_says(source, layout):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    files = {str(p.relative_to(layout.root)) for p in layout.root.rglob("*") if p.is_file()}
    digests = {manifest.digest, *(blob.digest for blob in manifest.blobs)}
    assert files == {"oci-layout", "index.json", *(f"blobs/sha256/{d.hex}" for d in digests)}
    assert json.loads((layout.root / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    for path in (layout.root / "blobs" / "sha256").iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name
    (entry,) = entries(layout)
    assert entry["annotations"] == {REF: "ghcr.io/team/model:1"}
    assert (entry["digest"], entry["size"]) == (str(manifest.digest), len(manifest.raw))


def test_entries_of_others_survive(source, layout):
    foreign = [
        {"mediaType": OCI_MANIFEST, "digest": "sha512:" + "0" * 128, "size": 3, "x": [1]},
        {"mediaType": "a/b", "digest": "sha256:" + "1" * 64, "size": 9, "platform": {"os": "x"}},
    ]
    value = {"schemaVersion": 2, "manifests": foreign, "annotations": {"mine": "yes"}}
    (layout.root / "index.json").write_text(json.dumps(value))
    copy(source, layout, (NAME, NAME), HOW)
    written = json.loads((layout.root / "index.json").read_bytes())
    assert written["manifests"][:2] == foreign
    assert written["annotations"] == {"mine": "yes"}
    assert len(written["manifests"]) == 3


def test_a_name_moves_to_the_newer_manifest(source, layout):
    copy(source, layout, (NAME, NAME), HOW)
    source.name(OTHER, manifest_of(source, b"newer"))
    newer = copy(source, layout, (OTHER, NAME), HOW)
    assert [entry["digest"] for entry in entries(layout)] == [str(newer.digest)]
    assert layout.resolve(NAME).raw == newer.raw


def test_one_manifest_may_have_two_names(source, layout):
    for name in (NAME, OTHER, NAME):
        copy(source, layout, (NAME, name), HOW)
    assert [e["annotations"][REF] for e in entries(layout)] == ["other:2", "ghcr.io/team/model:1"]


def test_names_that_come_at_the_same_time_all_stay(source, layout):
    manifest = copy(source, layout, (NAME, NAME), HOW)

    def add(number):
        name = Reference.parse(f"at/once:{number}")
        FolderLayout(layout.root).name(name, manifest)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert len(entries(layout)) == 25


def test_a_manifest_is_found_by_digest_too(source, layout):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    assert layout.resolve(Reference("", "x", "", manifest.digest)).raw == manifest.raw
    with pytest.raises(NotFoundError):
        layout.resolve(Reference("", "x", "", Digest.of(b"unknown")))
    with pytest.raises(NotFoundError):
        layout.resolve(OTHER)


def test_an_index_leads_to_the_model_in_it(source, layout):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    inner = {"schemaVersion": 2, "mediaType": OCI_INDEX}
    outer = put(layout, canonical_json({**inner, "manifests": [manifest.descriptor.to_json()]}))
    assert layout.resolve(Reference("", "x", "", outer.digest)).raw == manifest.raw


def test_damaged_bytes_leave_nothing(layout):
    blob = Descriptor.of(b"right", "a/b")
    for given in (b"wrong", b"righ", b"right!"):
        with pytest.raises(IntegrityError):
            layout.put(blob, io.BytesIO(given), lambda _count: None)
    assert not layout.has(blob)
    assert list((layout.root / "blobs" / "sha256").iterdir()) == []
    assert {p.name for p in layout.root.iterdir()} == {"blobs", "index.json", "oci-layout"}


def test_a_manifest_without_its_blobs_gets_no_name(source, layout):
    with pytest.raises(IntegrityError):
        layout.name(NAME, source.resolve(NAME))
    assert entries(layout) == []


def test_a_damaged_manifest_is_not_believed(source, layout):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    (layout.root / "blobs" / "sha256" / manifest.digest.hex).write_bytes(b"{}")
    with pytest.raises(IntegrityError):
        layout.resolve(NAME)


def test_what_is_too_large_is_not_read(layout):
    (layout.root / "index.json").write_bytes(b" " * (limits.MANIFEST + 1))
    with pytest.raises(LimitError):
        layout.index()
    many = b'{"manifests": [' + b",".join([b"0"] * (limits.LAYERS + 1)) + b"]}"
    (layout.root / "index.json").write_bytes(many)
    with pytest.raises(LimitError):
        layout.index()


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"manifests": {}}', b"[" * 100_000])
def test_an_index_that_is_none_is_refused(layout, raw):
    (layout.root / "index.json").write_bytes(raw)
    with pytest.raises(ManifestError):
        layout.resolve(NAME)


@pytest.mark.parametrize("marker", [None, b"", b"{}", b'{"imageLayoutVersion": "2.0.0"}'])
def test_a_folder_that_is_no_layout_is_not_read(tmp_path, marker):
    if marker is not None:
        (tmp_path / "oci-layout").write_bytes(marker)
    with pytest.raises(ManifestError, match="not an OCI image layout"):
        FolderLayout(tmp_path)


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(InputError, match="not an OCI image layout"):
        FolderLayout.create(tmp_path)
    with pytest.raises(InputError):
        FolderLayout.create(tmp_path / "letter.txt")
    with pytest.raises(StoreError):
        FolderLayout.create(tmp_path / "letter.txt" / "below")
    assert [p.name for p in tmp_path.iterdir()] == ["letter.txt"]


def test_a_pipe_in_place_of_a_blob_does_not_block(layout):
    import os

    blob = Descriptor.of(b"x", "a/b")
    os.mkfifo(layout.root / "blobs" / "sha256" / blob.digest.hex)
    with pytest.raises(InputError), layout.open(blob):
        pass


def test_referrers_are_found_by_their_subject(source, layout):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    signature = about(layout, manifest.descriptor)
    other = about(layout, manifest.descriptor, "application/x.sbom")
    nested = about(layout, signature.descriptor)
    found = layout.referrers(manifest.digest)
    assert [entry.digest for entry in found] == [signature.digest, other.digest]
    assert [e.digest for e in layout.referrers(signature.digest)] == [nested.digest]
    (sbom,) = layout.referrers(manifest.digest, "application/x.sbom")
    assert (sbom.digest, sbom.artifact_type) == (other.digest, "application/x.sbom")
    assert [name for name, _ in layout.models()] == ["ghcr.io/team/model:1"]


def test_referrers_travel_from_layout_to_layout(source, layout, tmp_path):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    signature = about(layout, manifest.descriptor)
    nested = about(layout, signature.descriptor)
    there = FolderLayout.create(tmp_path / "there")
    copied = copy_with_referrers(layout, there, (NAME, OTHER), HOW)
    assert [entry.digest for entry in copied.referrers] == [signature.digest, nested.digest]
    assert there.resolve(OTHER).raw == manifest.raw
    for one, subject in ((signature, manifest), (nested, signature)):
        assert [e.digest for e in there.referrers(subject.digest)] == [one.digest]
        assert all(there.has(blob) for blob in one.blobs)


def test_a_circle_or_a_tower_of_referrers_ends(source, layout, tmp_path):
    top = copy(source, layout, (NAME, NAME), HOW)
    for _ in range(limits.REFERRER_DEPTH):
        top = about(layout, top.descriptor)
    there = FolderLayout.create(tmp_path / "there")
    copied = copy_with_referrers(layout, there, (NAME, NAME), HOW)
    assert len(copied.referrers) == limits.REFERRER_DEPTH
    about(layout, top.descriptor)
    with pytest.raises(LimitError, match="deeper"):
        copy_with_referrers(layout, there, (NAME, NAME), HOW)


def test_too_many_referrers_are_refused(source, layout, tmp_path, monkeypatch):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    for i in range(3):
        about(layout, manifest.descriptor, f"a/{i}")
    monkeypatch.setattr(limits, "REFERRERS", 2)
    with pytest.raises(LimitError, match="more than 2"):
        copy_with_referrers(layout, FolderLayout.create(tmp_path / "there"), (NAME, NAME), HOW)


class Listing(FolderLayout):
    """A layout that lists more referrers than it has."""

    extra: tuple[Descriptor, ...] = ()

    def referrers(self, subject, artifact_type=""):
        return (*self.extra, *super().referrers(subject, artifact_type))


def test_what_is_listed_wrongly_stays_behind_and_is_named(source, layout, tmp_path):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    kept = about(layout, manifest.descriptor)
    lying = Listing(layout.root)
    gone = Descriptor(OCI_MANIFEST, Digest.of(b"gone"), 4)
    lying.extra = (gone, manifest.descriptor)
    said = []
    there = FolderLayout.create(tmp_path / "there")
    copied = copy_with_referrers(lying, there, (NAME, NAME), HOW, said.append)
    assert [entry.digest for entry in copied.referrers] == [kept.digest]
    lines = {event.item for event in said if "left behind" in event.item}
    assert any(gone.digest.hex in line for line in lines)
    assert any(f"{manifest.digest} does not refer to" in line for line in lines)


def test_a_referrer_with_a_missing_blob_fails_the_copy(source, layout, tmp_path):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    lost = about(layout, manifest.descriptor)
    (layout.root / "blobs" / "sha256" / lost.layers[0].digest.hex).unlink()
    with pytest.raises(NotFoundError):
        copy_with_referrers(layout, FolderLayout.create(tmp_path / "there"), (NAME, NAME), HOW)


def test_referrers_go_through_a_store_from_layout_to_layout(source, layout, tmp_path):
    manifest = copy(source, layout, (NAME, NAME), HOW)
    signature = about(layout, manifest.descriptor)
    store, there = LocalStore(tmp_path / "there"), FolderLayout.create(tmp_path / "second")
    first = copy_with_referrers(layout, store, (NAME, NAME), HOW)
    second = copy_with_referrers(store, there, (NAME, NAME), HOW)
    assert {entry.digest for entry in first.referrers} == {signature.digest}
    assert first.referrers == second.referrers == there.referrers(manifest.digest)
