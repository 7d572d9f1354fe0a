from __future__ import annotations

import os

import pytest
from support.ggufs import gguf_bytes, metadata, tensor, write_model
from support.models import LAYERED, blob_names, context_in, make, opened

from modelpack.errors import InputError, ManifestError, ModelPackError, NotFoundError
from modelpack.formats.artifact import Role
from modelpack.gguf.values import Value
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import encode
from modelpack.oci.reference import Reference
from modelpack.ops.listing import list_models
from modelpack.ops.models import copy_name, describe, open_model, remove

TEXT = '''FROM m.gguf
TEMPLATE """{{ .System }} {{ .Prompt }}"""
SYSTEM Be brief.
PARAMETER temperature 0.5
MESSAGE user hello
LICENSE the licence
LABEL org.example.team=a
'''


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path / "models")


@pytest.fixture
def folder(tmp_path):
    write_model(tmp_path / "m.gguf", general__file_type=Value.uint32(1))
    return tmp_path


def names(context, prefix=""):
    return [entry.name for entry in list_models(context, pytest.fail, prefix)]


def test_a_list_has_the_newest_first(context, folder):
    for age, tag in enumerate(("old", "newer", "newest")):
        make(context, "FROM m.gguf", folder, tag)
        path = context.store.layout.manifest(Reference.parse(tag))
        os.utime(path, (1_000_000 + age, 1_000_000 + age))
    assert names(context) == ["newest:latest", "newer:latest", "old:latest"]
    assert names(context, "NEW") == ["newest:latest", "newer:latest"]
    assert names(context, "zzz") == []


def test_a_list_warns_of_what_is_no_model(context, folder):
    make(context, "FROM m.gguf", folder)
    (context.store.layout.manifests / "local/README").write_text("hello")
    warnings: list[str] = []
    assert [entry.name for entry in list_models(context, warnings.append)] == ["m:latest"]
    assert len(warnings) == 1


def test_a_description_tells_all(context, folder):
    built = make(context, TEXT, folder, cut=LAYERED)
    found = describe(context, "m")
    assert (found.name, found.digest) == ("m:latest", str(built.manifest.digest))
    assert found.size == built.manifest.size
    assert (found.summary.architecture, found.summary.quantization) == ("llama", "F16")
    assert found.template == "{{ .System }} {{ .Prompt }}"
    assert found.system == "Be brief."
    assert found.parameters == {"temperature": 0.5}
    assert found.messages == (("user", "hello"),)
    assert found.licenses == ("the licence",)
    assert found.labels == {"org.example.team": "a"}
    assert found.capabilities == ("completion",)
    assert sum(row[3] for row in found.layers) == found.size - built.manifest.config.size


def test_a_description_falls_back_to_the_template_inside(context, folder):
    write_model(folder / "m.gguf", tokenizer__chat_template=Value.string("{{ messages }}"))
    make(context, "FROM m.gguf", folder)
    assert describe(context, "m").template == "{{ messages }}"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tokenizer__chat_template": Value.string("{% if tools %}")}, ("completion", "tools")),
        ({"tokenizer__chat_template": Value.string("<think>")}, ("completion", "thinking")),
        ({"llama__pooling_type": Value.uint32(1)}, ("embedding",)),
        ({"llama__pooling_type": Value.uint32(0)}, ("completion",)),
    ],
)
def test_a_description_knows_what_the_model_can_do(context, folder, fields, expected):
    write_model(folder / "m.gguf", **fields)
    make(context, "FROM m.gguf", folder)
    assert describe(context, "m").capabilities == expected


def test_a_description_knows_projectors(context, folder):
    projector = metadata(general__type=Value.string("mmproj"))
    (folder / "v.gguf").write_bytes(gguf_bytes(projector, [tensor("v.a")]))
    make(context, "FROM m.gguf\nFROM v.gguf", folder)
    found = describe(context, "m")
    assert found.capabilities == ("completion", "vision")
    assert found.projector is not None
    assert found.projector.kind == "projector"


def test_a_second_name_shares_everything(context, folder):
    built = make(context, "FROM m.gguf", folder)
    before = blob_names(context.store.layout.root)
    copy_name(context, "m", "ghcr.io/team/copy:1")
    assert blob_names(context.store.layout.root) == before
    assert opened(context, "ghcr.io/team/copy:1").manifest.raw == built.manifest.raw


def test_a_second_name_needs_a_model_and_a_plain_name(context, folder):
    make(context, "FROM m.gguf", folder)
    with pytest.raises(NotFoundError):
        copy_name(context, "nobody", "copy")
    with pytest.raises(InputError, match="digest"):
        copy_name(context, "m", f"copy@sha256:{'0' * 64}")


def test_removing_frees_what_nobody_needs(context, folder):
    make(context, "FROM m.gguf", folder, "one")
    make(context, "FROM one\nSYSTEM x", folder, "two")
    references, freed = remove(context, ["one"])
    assert [str(r) for r in references] == ["one:latest"]
    assert 0 < freed < 10_000
    assert opened(context, "two").headers()
    _, freed = remove(context, ["two"])
    assert freed > 100_000
    assert blob_names(context.store.layout.root) == set()


def test_removing_an_unknown_model_removes_none(context, folder):
    make(context, "FROM m.gguf", folder)
    with pytest.raises(NotFoundError):
        remove(context, ["m", "nobody"])
    assert names(context) == ["m:latest"]


def test_removing_works_by_digest_twice_and_for_damaged_names(context, folder):
    built = make(context, "FROM m.gguf", folder)
    remove(context, [f"m@{built.manifest.digest}"])
    assert names(context) == []
    make(context, "FROM m.gguf", folder)
    remove(context, ["m", "m:latest"])
    assert names(context) == []
    make(context, "FROM m.gguf", folder)
    context.store.layout.manifest(Reference.parse("m")).write_bytes(b"damaged")
    remove(context, ["m"])
    assert names(context) == []


def test_a_model_is_found_by_its_digest(context, folder):
    built = make(context, "FROM m.gguf", folder, "team/m:8b")
    assert opened(context, f"team/m@{built.manifest.digest}").name == "team/m:8b"


def test_a_missing_model_tells_near_names(context, folder):
    make(context, "FROM m.gguf", folder, "llama3:8b")
    with pytest.raises(NotFoundError) as caught:
        open_model(context, "lama3:8b")
    assert "llama3:8b" in str(caught.value.hint)
    with pytest.raises(NotFoundError) as caught:
        open_model(context, "something-else")
    assert "modelpack list" in str(caught.value.hint)


def test_a_model_of_ollama_is_found_by_its_short_name(context, folder):
    make(context, "FROM m.gguf", folder, "registry.ollama.ai/library/llama3:8b")
    assert opened(context, "llama3:8b").name == "registry.ollama.ai/library/llama3:8b"


def stored(context, config: bytes, *layers: tuple[str, bytes]) -> None:
    blobs = [
        Descriptor(
            "application/vnd.cncf.model.weight.config.v1.raw",
            context.store.add(data),
            len(data),
            {"org.cncf.model.filepath": path},
        )
        for path, data in layers
    ]
    kind = "application/vnd.cncf.model.config.v1+json"
    context.store.add(config)
    manifest = encode(
        artifact_type="application/vnd.cncf.model.manifest.v1+json",
        config=Descriptor.of(config, kind),
        layers=blobs,
        annotations={},
    )
    context.store.name(Reference.parse("m"), manifest)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"7", b"\xff"])
def test_parameters_that_others_broke_are_refused(context, data):
    stored(context, b"{}", ("modelpack/params.json", data))
    with pytest.raises(ModelPackError):
        opened(context).parameters()


def test_parameters_that_we_do_not_know_are_left_out(context):
    stored(context, b"{}", ("modelpack/params.json", b'{"no_such_parameter": 1, "top_k": 4}'))
    assert opened(context).parameters() == {"top_k": 4}


@pytest.mark.parametrize("data", [b"[]", b"{}", b"[7, null]"])
def test_messages_that_are_none_count_as_none(context, data):
    stored(context, b"{}", ("modelpack/messages.json", data))
    assert opened(context).messages() == ()


def test_a_text_that_is_missing_is_none(context):
    stored(context, b"{}")
    assert opened(context).text(Role.TEMPLATE) is None
    assert opened(context).licenses() == ()


def test_a_model_with_a_config_that_is_no_json_is_refused(context):
    stored(context, b"not json")
    with pytest.raises(ManifestError, match="config"):
        opened(context)
