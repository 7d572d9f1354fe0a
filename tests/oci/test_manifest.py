from __future__ import annotations

import json

import pytest

from modelpack import limits
from modelpack.errors import InputError, LimitError, ManifestError
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.digest import Digest
from modelpack.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Index,
    Manifest,
    canonical_json,
    encode,
    is_index,
)

CONFIG = Descriptor.of(b"{}", "application/x.config")
LAYER = Descriptor.of(b"weights", "application/x.layer", {"title": "w"})


def value(**members: object) -> dict[str, object]:
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": CONFIG.to_json(),
        "layers": [LAYER.to_json()],
        **members,
    }


def raw(**members: object) -> bytes:
    return json.dumps(value(**members)).encode()


def test_manifest_keeps_the_bytes_it_was_given():
    data = json.dumps(value(unknown=[1, {"a": None}]), indent=7).encode() + b"\n\n"
    manifest = Manifest.parse(data)
    assert manifest.raw == data
    assert manifest.digest == Digest.of(data)
    assert manifest.descriptor.size == len(data)


def test_manifest_lists_layers_before_the_config():
    assert Manifest.parse(raw()).blobs == (LAYER, CONFIG)


def test_manifest_counts_layers_and_config():
    assert Manifest.parse(raw()).size == LAYER.size + CONFIG.size


def test_manifest_without_media_type_is_what_the_server_called_it():
    data = json.dumps({k: v for k, v in value().items() if k != "mediaType"}).encode()
    assert Manifest.parse(data).media_type == OCI_MANIFEST
    assert Manifest.parse(data, DOCKER_MANIFEST).media_type == DOCKER_MANIFEST
    assert Manifest.parse(data, "text/html").media_type == OCI_MANIFEST


def test_manifest_believes_its_own_media_type_first():
    assert Manifest.parse(raw(), DOCKER_MANIFEST).media_type == OCI_MANIFEST


def test_manifest_knows_its_subject_and_annotations():
    manifest = Manifest.parse(raw(subject=LAYER.to_json(), annotations={"a": "b"}))
    assert manifest.subject == LAYER
    assert manifest.annotations == {"a": "b"}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>login</html>",
        b"[]",
        b"null",
        b"7",
        b'"text"',
        b"{}",
        b"{" + raw(),
        b"\xff\xfe",
        b"\x00" * 100,
        b'{"layers": []}',
        raw(config=None),
        raw(config=[]),
        raw(layers=None),
        raw(layers={}),
        raw(layers=[None]),
        raw(layers=[[]]),
        raw(annotations=[]),
        raw(annotations={"a": 1}),
        raw(subject=[]),
        raw(mediaType="text/plain"),
        raw(mediaType=OCI_INDEX),
        raw().replace(b'"size": 2', b'"size": ' + b"9" * 5000),
        raw().replace(b'"size": 2', b'"size": NaN'),
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b'{"layers":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_manifest_refuses_nonsense(data):
    with pytest.raises(InputError):
        Manifest.parse(data)


def test_manifest_has_a_size_limit():
    filled = raw(annotations={"a": "x" * (limits.MANIFEST - len(raw()) - 30)})
    assert len(filled) <= limits.MANIFEST
    Manifest.parse(filled)
    with pytest.raises(LimitError, match="4,194,304"):
        Manifest.parse(filled + b" " * (limits.MANIFEST - len(filled) + 1))


def test_manifest_has_a_limit_of_layers(monkeypatch):
    monkeypatch.setattr(limits, "LAYERS", 3)
    Manifest.parse(raw(layers=[LAYER.to_json()] * 3))
    with pytest.raises(LimitError, match="4 layers"):
        Manifest.parse(raw(layers=[LAYER.to_json()] * 4))
    with pytest.raises(LimitError, match="4 entries"):
        Index.parse(json.dumps({"manifests": [LAYER.to_json()] * 4}).encode())


def test_encode_writes_one_canonical_form():
    manifest = encode(
        artifact_type="application/x.model",
        config=CONFIG,
        layers=[LAYER],
        annotations={"z": "ü", "a": "1"},
    )
    assert manifest.raw == (
        b'{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
        b'"artifactType":"application/x.model",'
        b'"config":{"mediaType":"application/x.config","digest":"sha256:44136fa355b3678a1146ad16f7e'
        b'8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},'
        b'"layers":[{"mediaType":"application/x.layer","digest":"sha256:'
        + Digest.of(b"weights").hex.encode()
        + b'","size":7,"annotations":{"title":"w"}}],'
        b'"annotations":{"a":"1","z":"\xc3\xbc"}}'
    )


def test_encode_does_not_depend_on_the_order_of_annotations():
    def digest(annotations: dict[str, str]) -> Digest:
        layer = Descriptor(LAYER.media_type, LAYER.digest, LAYER.size, annotations)
        found = encode(artifact_type="a/b", config=CONFIG, layers=[layer], annotations=annotations)
        return found.digest

    assert digest({"a": "1", "b": "2"}) == digest({"b": "2", "a": "1"})


def test_encode_refuses_a_manifest_that_registries_would_refuse():
    with pytest.raises(LimitError):
        encode(
            artifact_type="a/b",
            config=CONFIG,
            layers=[],
            annotations={"a": "x" * limits.MANIFEST},
        )


def test_canonical_json_refuses_text_that_is_not_unicode():
    with pytest.raises(ManifestError):
        canonical_json({"a": "\ud800"})


def index(*entries: Descriptor, **members: object) -> Index:
    found = [entry.to_json() for entry in entries]
    return Index.parse(json.dumps({"manifests": found, **members}).encode())


def entry(name: str, **annotations: str) -> Descriptor:
    return Descriptor.of(name.encode(), OCI_MANIFEST, annotations)


ATTESTATION = Descriptor.of(
    b"proof", OCI_MANIFEST, {"vnd.docker.reference.type": "attestation-manifest"}
)
MARKED = Descriptor.of(b"marked", OCI_MANIFEST, {"org.cncf.model.model": "true"})


def test_index_chooses_the_first_manifest():
    assert index(entry("a"), entry("b")).choose() == entry("a")


def test_index_chooses_what_is_marked_as_the_model():
    assert index(entry("a"), MARKED, entry("b")).choose() == MARKED


def test_index_never_chooses_an_attestation():
    assert index(ATTESTATION, entry("a")).choose() == entry("a")
    with pytest.raises(ManifestError, match="no model"):
        index(ATTESTATION).choose()
    with pytest.raises(ManifestError, match="no model"):
        index().choose()


def test_index_keeps_the_bytes_it_was_given():
    data = json.dumps({"manifests": [MARKED.to_json()]}, indent=3).encode()
    assert Index.parse(data).raw == data
    assert Index.parse(data).digest == Digest.of(data)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", raw(), b'{"manifests": {}}', b"[" * 99_999])
def test_index_refuses_nonsense(data):
    with pytest.raises(InputError):
        Index.parse(data)


def test_an_index_is_told_from_a_manifest():
    listing = json.dumps({"manifests": []}).encode()
    assert is_index(listing)
    assert is_index(listing, DOCKER_LIST)
    assert not is_index(raw())
    assert not is_index(raw(), OCI_MANIFEST)
