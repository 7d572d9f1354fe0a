from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from modelpack import limits
from modelpack.errors import LimitError, ManifestError
from modelpack.formats.artifact import Facts, Layer, ModelArtifact, Role
from modelpack.formats.detect import detect
from modelpack.formats.modelspec import ARTIFACT_TYPE, CONFIG_TYPE, ModelSpec
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest, encode

SCHEMA = json.loads((Path(__file__).parents[1] / "data/modelpack-config-schema.json").read_text())
RAW = "application/vnd.cncf.model.weight.v1.raw"
FULL = Facts(
    architecture="llama",
    family="llama",
    name="Tiny",
    parameter_size="3.2B",
    quantization="Q4_K_M",
    precision="float16",
    version="1.0",
    vendor="Some Lab",
    description="small",
    source_url="https://example.com/tiny",
    authors=("A. Author",),
    licenses=("Apache-2.0",),
    inputs=("text", "image"),
    outputs=("text",),
    tools=True,
    reasoning=True,
    created="2026-01-31T12:00:00Z",
)


def layer(role: Role, path: str, data: bytes = b"x", media_type: str = "") -> Layer:
    return Layer(role, Descriptor.of(data, media_type), path)


EVERY_ROLE = ModelArtifact(
    layers=(
        layer(Role.MODEL, "m-00001-of-00002.gguf"),
        layer(Role.MODEL, "m-00002-of-00002.gguf"),
        layer(Role.PROJECTOR, "vision.gguf"),
        layer(Role.ADAPTER, "lora.gguf"),
        layer(Role.DRAFT, "draft.gguf"),
        layer(Role.TEMPLATE, "modelpack/template"),
        layer(Role.SYSTEM, "modelpack/system"),
        layer(Role.PARAMS, "modelpack/params.json"),
        layer(Role.MESSAGES, "modelpack/messages.json"),
        layer(Role.SETTINGS, "modelpack/settings.json"),
        layer(Role.LICENSE, "LICENSE"),
        layer(Role.DOC, "docs/README.md"),
        layer(Role.OTHER, "tokenizer.json", b"{}", "application/x.other"),
    ),
    facts=FULL,
    labels={"org.example.team": "a"},
)


def valid(config: bytes) -> object:
    value = json.loads(config)
    jsonschema.Draft202012Validator(
        SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER
    ).validate(value)
    return value


def test_config_follows_the_published_schema():
    config, manifest = ModelSpec().encode(EVERY_ROLE)
    value = valid(config)
    assert value["modelfs"]["diffIds"] == [str(blob.digest) for blob in manifest.layers]
    assert value["descriptor"]["createdAt"] == "2026-01-31T12:00:00Z"


def test_config_of_a_model_of_which_nothing_is_known_follows_the_schema():
    config, _ = ModelSpec().encode(ModelArtifact(layers=(layer(Role.MODEL, "m.gguf"),)))
    assert "createdAt" not in valid(config)["descriptor"]


def test_the_schema_is_strict_enough_to_notice():
    config, _ = ModelSpec().encode(EVERY_ROLE)
    value = json.loads(config)
    value["descriptor"]["surprise"] = 1
    with pytest.raises(jsonschema.ValidationError):
        valid(json.dumps(value).encode())


def test_decoding_gives_back_what_was_encoded():
    config, manifest = ModelSpec().encode(EVERY_ROLE)
    found = detect(manifest).decode(Manifest.parse(manifest.raw), config)
    assert found.facts == FULL
    assert found.labels == EVERY_ROLE.labels
    assert [(i.role, i.path, i.blob.digest) for i in found.layers] == [
        (i.role, i.path, i.blob.digest) for i in EVERY_ROLE.layers
    ]
    assert ModelSpec().encode(found) == (config, manifest)


def test_encoding_keeps_what_is_noted_of_a_layer():
    noted = Layer(Role.MODEL, Descriptor.of(b"x", ""), "m.gguf", {"io.example.note": "kept"})
    config, manifest = ModelSpec().encode(ModelArtifact(layers=(noted,)))
    found = ModelSpec().decode(manifest, config)
    assert found.layers[0].annotations == {"io.example.note": "kept"}


def test_encoding_puts_weights_first_whatever_their_order():
    _, one = ModelSpec().encode(EVERY_ROLE)
    reordered = ModelArtifact(
        layers=EVERY_ROLE.layers[2:] + EVERY_ROLE.layers[:2],
        facts=FULL,
        labels=EVERY_ROLE.labels,
    )
    assert ModelSpec().encode(reordered)[1].digest == one.digest


def test_layers_are_raw_files_that_any_tool_writes_under_their_path():
    _, manifest = ModelSpec().encode(EVERY_ROLE)
    assert manifest.artifact_type == ARTIFACT_TYPE
    assert manifest.config.media_type == CONFIG_TYPE
    for blob, item in zip(manifest.layers, EVERY_ROLE.layers, strict=True):
        assert blob.annotations["org.opencontainers.image.title"] == item.path
        assert blob.annotations["org.cncf.model.filepath"] == item.path
        facts = json.loads(blob.annotations["org.cncf.model.file.metadata+json"])
        assert (facts["size"], facts["mtime"]) == (blob.size, "1970-01-01T00:00:00Z")
    kinds = [
        blob.media_type.removeprefix("application/vnd.cncf.model.") for blob in manifest.layers
    ]
    assert kinds == [
        *["weight.v1.raw"] * 5,
        *["weight.config.v1.raw"] * 5,
        *["doc.v1.raw"] * 2,
        "application/x.other",
    ]


def foreign(*layers: Descriptor, config: bytes = b"{}") -> tuple[Manifest, bytes]:
    manifest = encode(
        artifact_type=ARTIFACT_TYPE,
        config=Descriptor.of(config, CONFIG_TYPE),
        layers=layers,
        annotations={},
    )
    return manifest, config


def path_of(path: str, media_type: str = RAW) -> Descriptor:
    return Descriptor.of(b"x", media_type, {"org.cncf.model.filepath": path})


@pytest.mark.parametrize(
    ("path", "media_type", "role"),
    [
        ("model.gguf", RAW, Role.MODEL),
        ("sub/model-00001-of-00002.gguf", RAW, Role.MODEL),
        ("mmproj-f16.gguf", RAW, Role.PROJECTOR),
        ("LICENSE", "application/vnd.cncf.model.doc.v1.raw", Role.LICENSE),
        ("README.md", "application/vnd.cncf.model.doc.v1.raw", Role.DOC),
        ("tokenizer.json", "application/vnd.cncf.model.weight.config.v1.raw", Role.OTHER),
        ("modelpack/template", "application/vnd.cncf.model.weight.config.v1.raw", Role.TEMPLATE),
    ],
)
def test_layers_of_others_get_their_role_from_path_and_type(path, media_type, role):
    found = ModelSpec().decode(*foreign(path_of(path, media_type)))
    assert [(i.role, i.path) for i in found.layers] == [(role, path)]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../model.gguf",
        "a/../../model.gguf",
        "a/..",
        "..",
        ".",
        "./model.gguf",
        "a//model.gguf",
        "a/",
        "a\\..\\model.gguf",
        "C:\\model.gguf",
        "model\0.gguf",
        "model\n.gguf",
        "\x1b[31mmodel.gguf",
        "\u202efugg.gguf",
    ],
)
@pytest.mark.parametrize("key", ["org.cncf.model.filepath", "org.opencontainers.image.title"])
def test_paths_that_leave_their_folder_are_refused(path, key):
    blob = Descriptor.of(b"x", RAW, {key: path})
    with pytest.raises(ManifestError, match="unsafe file path"):
        ModelSpec().decode(*foreign(blob))


@pytest.mark.parametrize("config", [b"", b"{", b"\xff", b"[" * 100_000])
def test_a_config_that_is_not_json_is_refused(config):
    with pytest.raises(ManifestError, match="not JSON"):
        ModelSpec().decode(*foreign(path_of("m.gguf"), config=config))


@pytest.mark.parametrize(
    "config",
    [
        b"[]",
        b"null",
        b'{"descriptor": [], "config": 7}',
        b'{"descriptor": {"name": 7, "authors": "me", "licenses": [1, "MIT"]}}',
        b'{"config": {"capabilities": {"toolUsage": "yes", "inputTypes": {}}}}',
    ],
)
def test_config_members_of_the_wrong_type_count_as_absent(config):
    facts = ModelSpec().decode(*foreign(path_of("m.gguf"), config=config)).facts
    assert facts.name == ""
    assert not facts.tools
    assert facts.licenses in ((), ("MIT",))


def test_layers_in_archives_are_refused_as_what_they_are():
    tar = path_of("model.gguf", "application/vnd.cncf.model.weight.v1.tar")
    with pytest.raises(ManifestError, match=r"weight\.v1\.tar are not supported"):
        ModelSpec().decode(*foreign(tar))


@pytest.mark.parametrize(
    ("artifact_type", "config_type", "shown"),
    [
        ("application/vnd.example.thing", "a/b", "application/vnd.example.thing"),
        ("", "application/vnd.docker.container.image.v1+json", "container.image"),
    ],
)
def test_unknown_formats_are_refused_with_what_they_are(artifact_type, config_type, shown):
    manifest = encode(
        artifact_type=artifact_type,
        config=Descriptor.of(b"{}", config_type),
        layers=[],
        annotations={},
    )
    with pytest.raises(ManifestError, match=shown) as caught:
        detect(manifest)
    assert "modelpack" in str(caught.value.hint)


def test_a_config_that_could_not_be_read_back_is_not_written():
    facts = Facts(description="x" * limits.CONFIG)
    with pytest.raises(LimitError):
        ModelSpec().encode(ModelArtifact(layers=(layer(Role.MODEL, "m.gguf"),), facts=facts))


def test_the_last_layer_of_a_role_counts():
    artifact = ModelArtifact(layers=(layer(Role.SYSTEM, "a", b"1"), layer(Role.SYSTEM, "b", b"2")))
    assert artifact.one(Role.SYSTEM) == artifact.layers[1]
    assert artifact.one(Role.TEMPLATE) is None
