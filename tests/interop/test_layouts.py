"""OCI image layouts that other clients read, and layouts and referrers that they write."""

from __future__ import annotations

import json

import pytest
from fakes.models import build_model, context_at
from support.models import LAYERED

from modelpack.ops.archive import load, save
from modelpack.ops.copy import copy_model
from modelpack.ops.pull import pull
from modelpack.ops.push import push

pytestmark = [pytest.mark.client]
COPY = ("--insecure-policy", "copy", "--preserve-digests")


@pytest.fixture
def here(tmp_path):
    return context_at(tmp_path / "here")


@pytest.fixture
def there(tmp_path):
    return context_at(tmp_path / "there")


@pytest.fixture
def model(here, tmp_path):
    return build_model(here, tmp_path, "team/tiny:v1", cut=LAYERED)


@pytest.mark.parametrize(("form", "kind"), [("layout", "oci"), ("x.tar", "oci-archive")])
def test_skopeo_reads_what_is_saved(skopeo, here, model, tmp_path, form, kind):
    save(here, ["team/tiny:v1"], tmp_path / form)
    raw = skopeo("inspect", "--raw", f"{kind}:{form}:team/tiny:v1", cwd=tmp_path)
    assert raw.encode() == model.raw
    skopeo(*COPY, f"{kind}:{form}", "dir:copied", cwd=tmp_path)
    assert (tmp_path / "copied" / "manifest.json").read_bytes() == model.raw


def test_oras_reads_what_is_saved(oras, here, model, tmp_path):
    save(here, ["team/tiny:v1"], tmp_path / "layout")
    save(here, ["team/tiny:v1"], tmp_path / "x.tar")
    for form in ("layout", "x.tar"):
        name = f"{form}@{model.digest}"
        assert oras("manifest", "fetch", "--oci-layout", name, cwd=tmp_path).encode() == model.raw


@pytest.mark.registry
def test_what_oras_saved_is_loaded(oras, repo, here, there, model, tmp_path):
    push(here, "team/tiny:v1", f"{repo}:v1")
    oras("copy", "--from-plain-http", "--to-oci-layout", f"{repo}:v1", "layout:v1", cwd=tmp_path)
    ((_, loaded),) = load(there, tmp_path / "layout", "tiny:v1")
    assert loaded.raw == model.raw


@pytest.mark.registry
def test_what_skopeo_saved_is_loaded(skopeo, repo, here, there, model, tmp_path):
    push(here, "team/tiny:v1", f"{repo}:v1")
    for kind, form in (("oci", "layout"), ("oci-archive", "x.tar")):
        target = f"{kind}:{form}:{form}/tiny:v1"
        skopeo(*COPY, "--src-tls-verify=false", f"docker://{repo}:v1", target, cwd=tmp_path)
        ((reference, loaded),) = load(there, tmp_path / form)
        assert (str(reference), loaded.raw) == (f"{form}/tiny:v1", model.raw)


def attach(oras, name, tmp_path):
    (tmp_path / "sbom.json").write_text("{}")
    words = ("--plain-http", "--artifact-type", "application/x.sbom", name, "sbom.json")
    oras("attach", *words, cwd=tmp_path)


def discovered(oras, *words, cwd):
    """Return the artifact types that oras finds at a model."""
    value = json.loads(oras("discover", "--format", "json", *words, cwd=cwd))
    found = value.get("referrers") or value.get("manifests") or []
    return [entry["artifactType"] for entry in found]


@pytest.mark.registry
def test_oras_finds_the_referrers_that_copy_brought(oras, repo, here, there, model, tmp_path):
    push(here, "team/tiny:v1", f"{repo}:v1")
    attach(oras, f"{repo}:v1", tmp_path)
    assert copy_model(here, f"{repo}:v1", f"{repo}-copy:v2").referrers == 1
    found = discovered(oras, "--plain-http", f"{repo}-copy:v2", cwd=tmp_path)
    assert found == ["application/x.sbom"]
    _, pulled = pull(there, f"{repo}-copy:v2")
    assert pulled.raw == model.raw


@pytest.mark.registry
def test_referrers_in_a_layout_of_oras_are_loaded(oras, repo, here, there, model, tmp_path):
    push(here, "team/tiny:v1", f"{repo}:v1")
    attach(oras, f"{repo}:v1", tmp_path)
    oras("copy", "-r", "--from-plain-http", "--to-oci-layout", f"{repo}:v1", "layout:v1",
         cwd=tmp_path)  # fmt: skip
    ((_, loaded),) = load(there, tmp_path / "layout", "tiny:v1")
    assert loaded.raw == model.raw
    (referrer,) = there.store.referrers(model.digest)
    assert referrer.artifact_type == "application/x.sbom"
