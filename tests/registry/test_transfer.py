"""Push and pull between a store and a registry that counts."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import textwrap
from dataclasses import replace

from fakes.models import build_model, context_at, files_in, serve_model
from fakes.registry import FakeRegistry, digest_of
from support.models import LAYERED, leftovers, make

from modelpack.modelfile.parameters import check_parameters
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.reference import Reference
from modelpack.ops.context import Network
from modelpack.ops.models import copy_name, open_model
from modelpack.ops.pull import ensure, pull
from modelpack.ops.push import push
from modelpack.progress import TOTAL
from modelpack.server.registry import RegistrySettings, running

INDEX = "application/vnd.oci.image.index.v1+json"


def test_what_is_pushed_is_pulled_byte_for_byte(registry, here, there, tmp_path):
    built = build_model(here, tmp_path, "tiny", cut=LAYERED)
    name = f"{registry.host}/a/b/c/tiny:v1"
    _, pushed = push(here, "tiny", name)
    _, pulled = pull(there, name)
    assert built.raw == pushed.raw == pulled.raw
    assert len(pulled.layers) > 4
    for blob in pulled.blobs:
        there_file, here_file = (c.store.path(blob.digest) for c in (there, here))
        assert there_file.read_bytes() == here_file.read_bytes()
    model = open_model(there, name)
    assert model.parameters() == check_parameters({"temperature": 0.5})
    assert f"manifests/{registry.host}/a/b/c/tiny/v1" in files_in(there)
    assert leftovers(there.store.layout.root) == []


def test_the_name_is_written_last(registry, here, there, tmp_path):
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    push(here, "tiny", f"{registry.host}/tiny:v1")
    assert registry.seen[-1].method == "PUT"
    assert registry.seen[-1].path == "/v2/tiny/manifests/v1"
    assert len(registry.asked("PUT", "/manifests/")) == 1


def test_what_the_registry_has_is_not_sent_again(registry, here, tmp_path):
    manifest = build_model(here, tmp_path, "tiny", cut=LAYERED)
    push(here, "tiny", f"{registry.host}/tiny:v1")
    sent = len(registry.asked("POST"))
    assert sent == len(set(manifest.blobs))
    events = []
    push(here, "tiny", f"{registry.host}/tiny:v2", events.append)
    assert len(registry.asked("POST")) == sent
    assert len(registry.asked("PUT", "/uploads/")) == sent
    ended = [event for event in events if event.done and event.item != TOTAL]
    assert {event.note for event in ended} == {"exists"}


def test_only_the_changed_layers_are_sent(registry, here, tmp_path):
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    push(here, "tiny", f"{registry.host}/tiny:v1")
    before = len(registry.asked("PUT", "/uploads/"))
    make(here, "FROM tiny\nSYSTEM Be long.\n", tmp_path, "tiny2")
    push(here, "tiny2", f"{registry.host}/tiny:v2")
    sent = registry.asked("PUT", "/uploads/")[before:]
    assert b"Be long." in [request.body for request in sent]
    assert len(sent) == 2  # and the config


def test_what_the_store_has_is_not_fetched_again(registry, there):
    serve_model(registry)
    pull(there, f"{registry.host}/team/tiny:v1")
    fetched = len(registry.asked("GET", "/blobs/"))
    assert fetched == 2
    pull(there, f"{registry.host}/team/tiny:v1")
    assert len(registry.asked("GET", "/blobs/")) == fetched


def test_a_model_that_is_in_the_store_asks_no_registry(registry, there):
    serve_model(registry)
    pull(there, f"{registry.host}/team/tiny:v1")
    asked = len(registry.seen)
    ensure(there, f"{registry.host}/team/tiny:v1")
    assert len(registry.seen) == asked


def test_a_digest_names_one_manifest_for_ever(registry, there):
    digest = digest_of(json.dumps(serve_model(registry)).encode())
    reference, manifest = pull(there, f"{registry.host}/team/tiny@{digest}")
    assert str(manifest.digest) == digest
    assert registry.asked("GET", "/manifests/")[0].path == f"/v2/team/tiny/manifests/{digest}"
    assert there.find(str(reference)).manifest.raw == manifest.raw


def test_a_tag_with_a_digest_is_checked_and_named_by_its_tag(registry, there):
    digest = digest_of(json.dumps(serve_model(registry)).encode())
    pull(there, f"{registry.host}/team/tiny:v1@{digest}")
    assert there.find(f"{registry.host}/team/tiny:v1")


def test_an_index_leads_to_its_model(registry, there):
    raw = json.dumps(serve_model(registry)).encode()
    attested = json.dumps({"schemaVersion": 2, "layers": []}).encode()
    entries = [
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": registry.add_manifest("team/tiny", attested),
            "size": len(attested),
            "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
        },
        {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": digest_of(raw),
            "size": len(raw),
        },
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
    registry.add_manifest("team/tiny", index, "v2", kind=INDEX)
    _, manifest = pull(there, f"{registry.host}/team/tiny:v2")
    assert manifest.raw == raw


def test_has_asks_for_the_head_only(registry, here):
    blob = registry.add_blob(b"weights")
    known = Descriptor("application/x", Digest.parse(str(blob["digest"])), 7)
    other = Descriptor.of(b"other", "application/x")
    longer = Descriptor("application/x", known.digest, 8)
    with here.repository(Reference.parse(f"{registry.host}/team/tiny")) as repository:
        assert repository.has(known)
        assert not repository.has(other)
        assert not repository.has(longer)
    assert registry.asked("GET", "/blobs/") == []
    assert len(registry.asked("HEAD", "/blobs/")) == 3


def test_a_name_without_a_registry_uses_the_default_one(registry, here, tmp_path, monkeypatch):
    monkeypatch.setenv("MODELPACK_REGISTRY", f"{registry.host}/team")
    context = context_at(tmp_path / "other")
    build_model(context, tmp_path, "tiny")
    target, _ = push(context, "tiny")
    assert str(target) == f"{registry.host}/team/tiny:latest"
    assert ("team/tiny", "latest") in registry.manifests


def test_a_second_name_is_pushed_as_it_is_called(registry, here, tmp_path):
    build_model(here, tmp_path, "tiny")
    copy_name(here, "tiny", f"{registry.host}/team/other:v3")
    push(here, f"{registry.host}/team/other:v3")
    assert ("team/other", "v3") in registry.manifests


def test_uploads_may_go_to_another_host(registry, here, tmp_path):
    with FakeRegistry() as storage:
        registry.uploads.base = storage.url
        storage.uploads = registry.uploads
        manifest = build_model(here, tmp_path, "tiny")
        push(here, "tiny", f"{registry.host}/team/tiny:v1")
        assert set(registry.blobs) == {str(blob.digest) for blob in manifest.blobs}
        assert storage.asked("PUT") and not registry.asked("PUT", "/uploads/")


_CHILD = """
    import resource, sys
    from pathlib import Path
    from modelpack.oci.descriptor import Descriptor
    from modelpack.oci.digest import Digest
    from modelpack.oci.reference import Reference
    from modelpack.ops.context import Context
    from modelpack.store.local import LocalStore

    host, digest, size, source, target = sys.argv[1:]
    blob = Descriptor("application/x", Digest.parse(digest), int(size))
    context = Context.create()
    with context.repository(Reference.parse(f"{host}/big")) as repository:
        repository.has(blob)  # everything is imported from here on
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with Path(source).open("rb") as body:
            repository.put(blob, body, lambda count: None)
        store = LocalStore(Path(target))
        with repository.open(blob) as body:
            store.put(blob, body, lambda count: None)
        assert store.has(blob)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_a_large_blob_moves_in_little_memory(tmp_path):
    size = 300 * 1024 * 1024
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(size)
    seen = hashlib.sha256()
    block = bytes(1024 * 1024)
    for _ in range(size // len(block)):
        seen.update(block)
    with running(RegistrySettings(root=tmp_path / "registry", listen="127.0.0.1:0")) as base:
        done = subprocess.run(
            [
                sys.executable, "-c", textwrap.dedent(_CHILD), base.removeprefix("http://"),
                f"sha256:{seen.hexdigest()}", str(size), str(source), str(tmp_path / "target"),
            ],
            capture_output=True, text=True, check=False, timeout=100,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60 * 1024  # kilobytes


def test_requests_share_connections(registry, here, tmp_path):
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    push(replace(here, network=Network(concurrency=1)), "tiny", f"{registry.host}/tiny:v1")
    assert len(registry.seen) > 10
    assert len(registry.connections) <= 2
