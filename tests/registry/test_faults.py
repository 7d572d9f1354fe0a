"""A registry that misbehaves: one clear error, and nothing of it in the store."""

from __future__ import annotations

import gzip
import json
import threading

import pytest
from fakes.models import build_model, files_in, serve_model
from fakes.registry import OCI_MANIFEST, digest_of
from fakes.web import cut_after, hangs_up_inside_the_body, html, says, stalls, switched_off

from modelpack import limits
from modelpack.errors import (
    DigestError,
    IntegrityError,
    LimitError,
    ManifestError,
    NetworkError,
    NotFoundError,
    RegistryError,
)
from modelpack.ops.pull import pull
from modelpack.ops.push import push

MANIFEST = "/manifests/v1"


def refused(there, registry, error, text):
    """Pull, which must raise just *error* and say *text*; the store stays empty."""
    with pytest.raises(error, match=text) as caught:
        pull(there, f"{registry.host}/team/tiny:v1")
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert [f for f in files_in(there) if not f.startswith(("blobs/", "pulls/"))] == []
    return caught.value


def no_weights(there, registry):
    """The only blob that may have arrived is the config, which is sound."""
    weights = [d for d, data in registry.blobs.items() if data.startswith(b"weights")]
    assert not any(d.replace(":", "-") in name for d in weights for name in files_in(there))


def test_a_registry_that_is_down_is_named(there):
    with (
        switched_off() as host,
        pytest.raises(NetworkError, match=f"cannot reach {host}") as caught,
    ):
        pull(there, f"{host}/team/tiny:v1")
    assert f"cannot reach {host}: " in str(caught.value)
    assert caught.value.hint == "is the registry running?"
    assert files_in(there) == []


@pytest.mark.parametrize("status", [200, 502])
def test_html_instead_of_a_manifest_is_called_so(registry, there, status):
    registry.instead("GET", MANIFEST, html(status))
    error = refused(there, registry, RegistryError, "HTML page")
    assert error.hint


def test_html_instead_of_a_blob_is_damage(registry, there):
    serve_model(registry)
    registry.instead("GET", "/blobs/", html())
    refused(there, registry, IntegrityError, "bytes")
    assert files_in(there) == []


def test_a_missing_manifest_is_not_found(registry, there):
    refused(there, registry, NotFoundError, "does not have model")


def test_a_missing_blob_is_not_found(registry, there):
    layer = serve_model(registry)["layers"][0]["digest"]
    del registry.blobs[layer]
    refused(there, registry, NotFoundError, layer)
    no_weights(there, registry)


def test_wrong_bytes_are_damage(registry, there):
    layer = serve_model(registry)["layers"][0]
    registry.instead("GET", layer["digest"], says(200, b"x" * layer["size"]))
    refused(there, registry, IntegrityError, layer["digest"])
    no_weights(there, registry)


def test_fewer_bytes_are_damage(registry, there):
    layer = serve_model(registry)["layers"][0]
    registry.instead("GET", layer["digest"], says(200, b"weights "))
    refused(there, registry, IntegrityError, "8 bytes instead of 160,000")
    no_weights(there, registry)


def test_more_bytes_are_damage(registry, there):
    layer = serve_model(registry)["layers"][0]
    more = registry.blobs[layer["digest"]] + b"!"
    registry.instead("GET", layer["digest"], says(200, more))
    refused(there, registry, IntegrityError, "more than 160,000 bytes")
    no_weights(there, registry)


def test_a_download_that_is_cut_is_a_network_error(registry, there):
    layer = serve_model(registry)["layers"][0]
    registry.instead("GET", layer["digest"], cut_after(b"weights " * 10_000, layer["size"]))
    refused(there, registry, NetworkError, f"the connection to {registry.host} broke")
    no_weights(there, registry)


def test_a_download_that_stalls_ends(registry, there, monkeypatch):
    monkeypatch.setattr(limits, "READ_TIMEOUT_S", 0.2)
    layer = serve_model(registry)["layers"][0]
    done = threading.Event()
    registry.instead("GET", layer["digest"], stalls(b"weights ", layer["size"], done))
    try:
        refused(there, registry, NetworkError, "stopped answering")
    finally:
        done.set()
    no_weights(there, registry)


def test_a_compressed_blob_is_refused(registry, there):
    layer = serve_model(registry)["layers"][0]
    packed = gzip.compress(registry.blobs[layer["digest"]])
    answer = says(200, packed, Content_Encoding="gzip")
    registry.instead("GET", layer["digest"], answer)
    refused(there, registry, RegistryError, "compressed")
    no_weights(there, registry)


def test_a_manifest_over_4_mib_is_refused(registry, there):
    raw = json.dumps(serve_model(registry)).encode()
    registry.add_manifest("team/tiny", raw + b" " * limits.MANIFEST, "v1")
    refused(there, registry, LimitError, "larger than 4,194,304 bytes")


def test_a_manifest_with_another_digest_than_asked_is_refused(registry, there):
    raw = json.dumps(serve_model(registry)).encode()
    asked = digest_of(raw + b" ")
    registry.manifests["team/tiny", asked] = (raw, OCI_MANIFEST)
    with pytest.raises(IntegrityError, match=f"not {asked}"):
        pull(there, f"{registry.host}/team/tiny@{asked}")
    assert files_in(there) == []


@pytest.mark.parametrize(
    "digest", ["sha512:" + "a" * 128, "sha256:../../../etc/passwd", "sha256:" + "A" * 64, ""]
)
def test_a_layer_whose_digest_is_no_sha256_is_refused(registry, there, digest):
    value = serve_model(registry)
    value["layers"][0]["digest"] = digest
    registry.add_manifest("team/tiny", json.dumps(value).encode(), "v1")
    refused(there, registry, DigestError if digest else ManifestError, "digest")
    assert registry.asked("GET", "/blobs/") == []


@pytest.mark.parametrize("raw", [b"{", b"[]", b"{}", b"", b"[" * 100_000])
def test_a_manifest_that_is_none_is_refused(registry, there, raw):
    registry.add_manifest("team/tiny", raw, "v1")
    refused(there, registry, ManifestError, "manifest|layers")


def test_an_artifact_that_is_no_model_is_refused_before_its_blobs_move(registry, there):
    value = serve_model(registry)
    value["artifactType"] = "application/vnd.example.chart"
    value["config"]["mediaType"] = "application/vnd.example.config"
    registry.add_manifest("team/tiny", json.dumps(value).encode(), "v1")
    refused(there, registry, ManifestError, "not a model")
    assert registry.asked("GET", "/blobs/") == []


def test_a_redirect_loop_ends(registry, there):
    registry.instead("GET", MANIFEST, says(307, Location=f"/v2/team/tiny{MANIFEST}"))
    refused(there, registry, RegistryError, "Exceeded 5 redirects")
    assert len(registry.asked("GET", MANIFEST)) < 10


def test_a_redirect_to_a_file_is_not_followed(registry, there):
    layer = serve_model(registry)["layers"][0]
    registry.instead("GET", layer["digest"], says(307, Location="file:///etc/passwd"))
    refused(there, registry, RegistryError, "redirects to nowhere: .*file:")
    no_weights(there, registry)


def push_refused(here, registry, tmp_path, error, text):
    build_model(here, tmp_path, "tiny")
    before = files_in(here)
    with pytest.raises(error, match=text) as caught:
        push(here, "tiny", f"{registry.host}/team/tiny:v1")
    assert type(caught.value) is error
    assert registry.manifests == {}
    assert files_in(here) == before
    return caught.value


def test_an_upload_without_a_location_is_refused(registry, here, tmp_path):
    registry.instead("POST", "/uploads/", says(202))
    push_refused(here, registry, tmp_path, RegistryError, "without a Location")


def test_an_upload_to_a_file_is_refused(registry, here, tmp_path):
    registry.instead("POST", "/uploads/", says(202, Location="file:///tmp/x"))
    push_refused(here, registry, tmp_path, RegistryError, "not HTTP")


def test_an_upload_that_is_cut_is_a_network_error(registry, here, tmp_path):
    registry.instead("PUT", "/uploads/", hangs_up_inside_the_body, early=True)
    push_refused(here, registry, tmp_path, NetworkError, f"the connection to {registry.host} broke")


def test_an_upload_that_is_too_large_for_a_proxy_has_a_hint(registry, here, tmp_path):
    registry.instead("PUT", "/uploads/", html(413))
    error = push_refused(here, registry, tmp_path, RegistryError, "413")
    assert "--layer-size" in error.hint


def test_a_refused_manifest_leaves_the_name_as_it_was(registry, here, tmp_path):
    registry.instead("PUT", MANIFEST, says(500))
    push_refused(here, registry, tmp_path, RegistryError, "500")


def test_a_damaged_local_blob_is_not_pushed(registry, here, tmp_path):
    manifest = build_model(here, tmp_path, "tiny")
    weights = here.store.path(manifest.layers[0].digest)
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(IntegrityError):
        push(here, "tiny", f"{registry.host}/team/tiny:v1")
    assert registry.manifests == {}


def test_a_manifest_without_end_is_not_read_to_its_end(registry, there):
    sent = []

    def endless(exchange):
        exchange.send_response(200)
        exchange.send_header("Content-Length", str(1 << 40))
        exchange.end_headers()
        while len(sent) < 64:
            exchange.wfile.write(b" " * limits.MiB)
            sent.append(1)

    registry.instead("GET", MANIFEST, endless)
    refused(there, registry, LimitError, "larger than 4,194,304 bytes")
    assert len(sent) < 64
