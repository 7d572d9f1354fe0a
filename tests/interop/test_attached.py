"""What oras attached to a model travels with it: into the store, a layout, another registry."""

from __future__ import annotations

import json

import pytest
from fakes.models import build_model, context_at
from support.models import LAYERED

from modelpack.ops.archive import load, save
from modelpack.ops.pull import pull
from modelpack.ops.push import push

pytestmark = [pytest.mark.client, pytest.mark.registry]
SBOM = "application/x.sbom"
BOTH = ["registry", "embedded"]
"""docker-registry, which lists referrers under a tag only, and ours, which has the API."""


@pytest.fixture
def attached(request, oras, tmp_path):
    """A model in a registry with something attached; returns its name and the digest of that."""
    host = request.getfixturevalue(request.param)
    repository = f"attached/{request.node.name.partition('[')[0]}/{request.node.callspec.id}"
    name = f"{host}/{repository}:v1"
    here = context_at(tmp_path / "here")
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    push(here, "tiny", name)
    (tmp_path / "sbom.json").write_text('{"what": "is in it"}')
    words = ("--plain-http", "--artifact-type", SBOM, "--format", "json", name, "sbom.json")
    return name, json.loads(oras("attach", *words, cwd=tmp_path))["digest"]


def discovered(oras, *words, cwd):
    """Return digest and artifact type of what oras finds at a model."""
    value = json.loads(oras("discover", "--format", "json", *words, cwd=cwd))
    found = value.get("referrers") or value.get("manifests") or []
    return [(entry["digest"], entry["artifactType"]) for entry in found]


def assert_content(oras, name, digest, tmp_path, folder):
    (tmp_path / folder).mkdir()
    repository = name.rpartition(":")[0]
    oras("pull", "--plain-http", f"{repository}@{digest}", cwd=tmp_path / folder)
    assert (tmp_path / folder / "sbom.json").read_text() == '{"what": "is in it"}'


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("attached", BOTH, indirect=True)
def test_it_is_there_after_pull_save_and_push(request, oras, attached, target, tmp_path):
    name, digest = attached
    there = context_at(tmp_path / "there")
    _, manifest = pull(there, name)
    save(there, [name], tmp_path / "layout")
    found = discovered(oras, "--oci-layout", f"layout@{manifest.digest}", cwd=tmp_path)
    assert found == [(digest, SBOM)]
    elsewhere = f"{request.getfixturevalue(target)}/elsewhere/{request.node.callspec.id}:v2"
    push(there, name, elsewhere)
    assert discovered(oras, "--plain-http", elsewhere, cwd=tmp_path) == [(digest, SBOM)]
    assert_content(oras, elsewhere, digest, tmp_path, "from-elsewhere")


@pytest.mark.parametrize("target", BOTH)
@pytest.mark.parametrize("attached", ["embedded"], indirect=True)
def test_it_is_there_after_save_load_and_push(request, oras, attached, target, tmp_path):
    name, digest = attached
    there, third = context_at(tmp_path / "there"), context_at(tmp_path / "third")
    pull(there, name)
    save(there, [name], tmp_path / "model.tar")
    ((reference, _),) = load(third, tmp_path / "model.tar")
    elsewhere = f"{request.getfixturevalue(target)}/loaded/{target}:v2"
    push(third, reference.name, elsewhere)
    assert discovered(oras, "--plain-http", elsewhere, cwd=tmp_path) == [(digest, SBOM)]
    assert_content(oras, elsewhere, digest, tmp_path, "from-elsewhere")
