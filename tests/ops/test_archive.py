"""Models saved as an OCI image layout, and loaded from one."""

from __future__ import annotations

import io
import json
import re

import pytest
from fakes.models import build_model, context_at, files_in
from support.models import LAYERED, assert_sound, make

from modelpack.content.layout import FolderLayout
from modelpack.errors import InputError, IntegrityError, ManifestError, NotFoundError, StoreError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import OCI_MANIFEST, Manifest, canonical_json
from modelpack.oci.reference import Reference
from modelpack.ops.archive import load, save
from modelpack.ops.listing import list_models
from modelpack.store.local import LocalStore

REF = "org.opencontainers.image.ref.name"
FORMS = ["folder", "x.tar"]


@pytest.fixture
def here(tmp_path):
    context = context_at(tmp_path / "here")
    build_model(context, tmp_path, "tiny", cut=LAYERED)
    make(context, 'FROM tiny\nSYSTEM "Be long."\n', tmp_path, "ghcr.io/team/long:v2")
    return context


@pytest.fixture
def there(tmp_path):
    return context_at(tmp_path / "there")


def names_in(context):
    return sorted(model.name for model in list_models(context, pytest.fail))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_saved_is_loaded_with_its_names(here, there, tmp_path, form):
    saved = save(here, ["tiny", "ghcr.io/team/long:v2", "tiny"], tmp_path / form)
    loaded = load(there, tmp_path / form)
    assert sorted(loaded, key=str) == sorted(saved, key=str)
    assert names_in(there) == ["ghcr.io/team/long:v2", "tiny:latest"]
    assert files_in(there) == files_in(here)
    assert not list(tmp_path.glob(".ingest-*"))


@pytest.mark.parametrize("form", FORMS)
def test_what_is_damaged_in_the_store_is_replaced_by_what_is_loaded(here, tmp_path, form):
    save(here, ["tiny", "ghcr.io/team/long:v2"], tmp_path / form)
    for path in here.store.layout.blobs.iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    load(here, tmp_path / form)
    assert_sound(here.store.layout.root)


def test_what_models_share_is_read_once(here, tmp_path, monkeypatch):
    checked = []
    check = LocalStore.check

    def counted(store, blob, advance):
        checked.append(blob.digest)
        return check(store, blob, advance)

    save(here, ["tiny", "ghcr.io/team/long:v2"], tmp_path / "x.tar")
    monkeypatch.setattr(LocalStore, "check", counted)
    load(here, tmp_path / "x.tar")
    assert len(checked) == len(set(checked)) > 3


@pytest.mark.parametrize("form", FORMS)
def test_one_model_gets_another_name(here, there, tmp_path, form):
    save(here, ["tiny"], tmp_path / form)
    ((reference, _),) = load(there, tmp_path / form, "team/other:v3")
    assert str(reference) == "team/other:v3"
    assert names_in(there) == ["team/other:v3"]


def test_tars_are_the_same_whatever_the_order(here, tmp_path):
    out = io.BytesIO()
    save(here, ["ghcr.io/team/long:v2", "tiny"], tmp_path / "a.tar")
    save(here, ["tiny", "ghcr.io/team/long:v2"], out)
    assert (tmp_path / "a.tar").read_bytes() == out.getvalue()


def test_a_layout_grows(here, there, tmp_path):
    save(here, ["tiny"], tmp_path / "folder")
    save(here, ["ghcr.io/team/long:v2"], tmp_path / "folder")
    save(here, ["tiny"], tmp_path / "folder")
    assert len(load(there, tmp_path / "folder")) == 2


def test_progress_says_what_is_done(here, there, tmp_path):
    said = []
    save(here, ["tiny"], tmp_path / "x.tar", said.append)
    assert {event.action for event in said} == {"export"}
    said.clear()
    load(there, tmp_path / "x.tar", report=said.append)
    assert said[0].item == "loading tiny:latest"
    assert {event.action for event in said} == {"status", "pull"}


def test_an_unknown_model_leaves_nothing(here, tmp_path):
    for form in FORMS:
        with pytest.raises(NotFoundError):
            save(here, ["tiny", "unknown"], tmp_path / form)
        assert not (tmp_path / form).exists()


def test_a_damaged_store_leaves_the_tar_that_was_there(here, tmp_path):
    target = tmp_path / "x.tar"
    target.write_bytes(b"before")
    weights = max((here.store.layout.blobs).iterdir(), key=lambda path: path.stat().st_size)
    weights.write_bytes(bytes(weights.stat().st_size))
    with pytest.raises(IntegrityError):
        save(here, ["tiny"], target)
    assert target.read_bytes() == b"before"
    assert not list(tmp_path.glob(".ingest-*"))


def test_places_that_are_no_place_for_a_layout_are_refused(here, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder.tar").mkdir()
    for name in ("file", "folder.tar", "x.tar.gz", "here"):
        with pytest.raises(InputError):
            save(here, ["tiny"], tmp_path / name)
    with pytest.raises(StoreError):
        save(here, ["tiny"], tmp_path / "missing" / "x.tar")


def rewritten(folder, change):
    path = folder / "index.json"
    value = json.loads(path.read_bytes())
    change(value["manifests"])
    path.write_text(json.dumps(value))


def test_a_mere_tag_is_no_name(here, there, tmp_path):
    save(here, ["tiny"], tmp_path / "folder")
    rewritten(tmp_path / "folder", lambda found: found[0].update(annotations={REF: "v1"}))
    with pytest.raises(InputError) as caught:
        load(there, tmp_path / "folder")
    assert "-t" in str(caught.value.hint)
    load(there, tmp_path / "folder", "tiny:v1")
    assert names_in(there) == ["tiny:v1"]


def test_the_name_that_containerd_writes_counts(here, there, tmp_path):
    save(here, ["tiny"], tmp_path / "folder")
    said = {REF: "v1", "io.containerd.image.name": "ghcr.io/a/b:v1"}
    rewritten(tmp_path / "folder", lambda found: found[0].update(annotations=said))
    load(there, tmp_path / "folder")
    assert names_in(there) == ["ghcr.io/a/b:v1"]


def test_names_that_are_no_names_are_refused(here, there, tmp_path):
    save(here, ["tiny"], tmp_path / "folder")
    said = {REF: "../../../etc:v1"}
    rewritten(tmp_path / "folder", lambda found: found[0].update(annotations=said))
    with pytest.raises(InputError):
        load(there, tmp_path / "folder")
    assert files_in(there) == []


def test_a_name_that_cannot_be_used_costs_the_others_nothing(here, there, tmp_path):
    save(here, ["tiny", "ghcr.io/team/long:v2"], tmp_path / "folder")
    rewritten(
        tmp_path / "folder", lambda found: found[0].update(annotations={REF: "My Bad Name:1"})
    )
    warnings = []
    ((kept, _),) = load(there, tmp_path / "folder", warn=warnings.append)
    assert names_in(there) == [kept.name]
    (warning,) = warnings
    assert str(tmp_path / "folder") in warning
    assert "My Bad Name:1" in warning
    rewritten(tmp_path / "folder", lambda found: found[1].update(annotations={REF: "x:1@sha256:0"}))
    with pytest.raises(InputError, match="My Bad Name:1") as caught:
        load(there, tmp_path / "folder")
    assert "-t" in caught.value.hint


def test_one_name_is_not_enough_for_two_models(here, there, tmp_path):
    save(here, ["tiny", "ghcr.io/team/long:v2"], tmp_path / "folder")
    with pytest.raises(InputError, match="2 models"):
        load(there, tmp_path / "folder", "x")
    with pytest.raises(InputError, match="digest"):
        save(here, ["tiny"], tmp_path / "one")
        load(there, tmp_path / "one", "x@sha256:" + "0" * 64)


def test_what_holds_no_model_is_refused(there, tmp_path):
    FolderLayout.create(tmp_path / "empty")
    with pytest.raises(NotFoundError, match="no model"):
        load(there, tmp_path / "empty")
    with pytest.raises(NotFoundError):
        load(there, tmp_path / "missing")
    (tmp_path / "other").mkdir()
    with pytest.raises(ManifestError):
        load(there, tmp_path / "other")


def test_what_is_no_model_gets_no_name(there, tmp_path):
    layout = FolderLayout.create(tmp_path / "image")
    config = Descriptor.of(b"{}", "application/vnd.docker.container.image.v1+json")
    layout.put(config, io.BytesIO(b"{}"), lambda _count: None)
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.to_json(),
             "layers": []}  # fmt: skip
    layout.name(Reference.parse("an/image:1"), Manifest.parse(canonical_json(value)))
    with pytest.raises(ManifestError):
        load(there, tmp_path / "image")
    assert names_in(there) == []


@pytest.mark.parametrize("form", FORMS)
def test_damaged_layouts_leave_no_name(here, there, tmp_path, form):
    save(here, ["tiny"], tmp_path / form)
    target = tmp_path / form
    if target.is_dir():
        target = max((target / "blobs" / "sha256").iterdir(), key=lambda p: p.stat().st_size)
    raw = bytearray(target.read_bytes())
    at = len(raw) // 2 - 1000
    raw[at] ^= 1
    target.write_bytes(raw)
    with pytest.raises(IntegrityError, match=re.escape(f"{tmp_path / form} sent")):
        load(there, tmp_path / form)
    assert names_in(there) == []


def test_a_signature_goes_through_the_store_and_comes_out_again(here, there, tmp_path):
    ((_, manifest),) = save(here, ["tiny"], tmp_path / "folder")
    layout = FolderLayout(tmp_path / "folder")
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": manifest.config.to_json(),
             "layers": [], "subject": manifest.descriptor.to_json()}  # fmt: skip
    signature = Manifest.parse(canonical_json(value))
    layout.name(Reference("", "x", "", signature.digest), signature)
    load(there, tmp_path / "folder")
    assert names_in(there) == ["tiny:latest"]
    save(there, ["tiny"], tmp_path / "again")
    (found,) = FolderLayout(tmp_path / "again").referrers(manifest.digest)
    assert found.digest == signature.digest
