from __future__ import annotations

import json

import pytest
from support.ggufs import gguf_bytes, metadata, tensor, write_model, write_split
from support.models import LAYERED, assert_sound, blob_names, context_in, leftovers, make, opened

from modelpack import limits
from modelpack.builder.plan import Cut
from modelpack.errors import (
    GgufError,
    InputError,
    LimitError,
    ModelfileError,
    ModelPackError,
    NotFoundError,
)
from modelpack.formats.artifact import Role
from modelpack.gguf.values import Value


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path / "models")


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "My Model"
    write_model(path / "m.gguf")
    return path


def roles(model) -> list[str]:
    return [str(layer.role) for layer in model.artifact.layers]


def kind_of(kind: str) -> bytes:
    return gguf_bytes(metadata(general__type=Value.string(kind)), [tensor(kind)])


def test_a_build_stores_the_file_as_it_is(context, folder):
    built = make(context, "FROM ./m.gguf", folder)
    model = opened(context)
    assert model.manifest.raw == built.manifest.raw
    assert [path.read_bytes() for path in model.files(Role.MODEL)] == [
        (folder / "m.gguf").read_bytes()
    ]
    assert leftovers(context.store.layout.root) == []
    assert_sound(context.store.layout.root)


def test_a_build_keeps_all_that_the_modelfile_says(context, folder):
    (folder / "NOTES.md").write_text("notes")
    text = '''FROM ./m.gguf
TEMPLATE """{{ .Prompt }}"""
SYSTEM You are brief.
PARAMETER temperature 0.5
PARAMETER stop A
PARAMETER stop B
MESSAGE user hello
MESSAGE assistant hi
LICENSE first
LICENSE second
LABEL org.example.team=a
DOC NOTES.md
'''
    make(context, text, folder)
    model = opened(context)
    assert model.text(Role.TEMPLATE) == "{{ .Prompt }}"
    assert model.text(Role.SYSTEM) == "You are brief."
    assert model.parameters() == {"temperature": 0.5, "stop": ["A", "B"]}
    assert [(m.role, m.content) for m in model.messages()] == [
        ("user", "hello"),
        ("assistant", "hi"),
    ]
    assert model.licenses() == ("first", "second")
    assert model.artifact.labels == {"org.example.team": "a"}
    assert [layer.path for layer in model.artifact.of(Role.DOC)] == ["NOTES.md"]
    assert [layer.path for layer in model.artifact.of(Role.LICENSE)] == ["LICENSE", "LICENSE-2"]


def test_a_build_takes_the_facts_from_the_file(context, folder):
    fields = {
        "general__name": Value.string("Some Name"),
        "general__license": Value.string("apache-2.0"),
        "general__author": Value.string("A. Author"),
        "general__organization": Value.string("Lab"),
        "general__file_type": Value.uint32(15),
        "tokenizer__chat_template": Value.string("{% if tools %}<think>{% endif %}"),
    }
    write_model(folder / "m.gguf", **fields)
    make(context, "FROM ./m.gguf", folder)
    facts = opened(context).artifact.facts
    assert (facts.name, facts.architecture, facts.quantization) == ("Some Name", "llama", "Q4_K_M")
    assert (facts.licenses, facts.authors, facts.vendor) == (("apache-2.0",), ("A. Author",), "Lab")
    assert facts.tools
    assert facts.reasoning


def test_a_large_file_is_cut_into_layers_and_a_small_one_is_not(context, folder):
    make(context, "FROM ./m.gguf", folder, "layered", cut=LAYERED)
    make(context, "FROM ./m.gguf", folder, "small", cut=Cut(size=10**9))
    make(context, "FROM ./m.gguf", folder, "whole", cut=Cut(size=None))
    layered = opened(context, "layered").artifact.of(Role.MODEL)
    assert len(layered) > 5
    count = len(layered)
    assert [layer.path for layer in layered] == [
        f"m-{i:05d}-of-{count:05d}.gguf" for i in range(1, count + 1)
    ]
    assert len(opened(context, "small").artifact.of(Role.MODEL)) == 1
    assert len(opened(context, "whole").artifact.of(Role.MODEL)) == 1


@pytest.mark.parametrize("layering", ["block", "tensor"])
def test_a_cut_never_makes_more_layers_than_registries_take(context, tmp_path, layering):
    path = tmp_path / "deep"
    write_model(path / "m.gguf", blocks=130, width=8)
    make(context, "FROM ./m.gguf", path, cut=Cut(size=1, layering=layering))
    assert len(opened(context).manifest.layers) <= limits.LAYERS_WRITTEN - 49


@pytest.mark.parametrize("rows", ["FROM ./set", "FROM set/m-00002-of-00003.gguf"])
def test_a_split_model_is_taken_as_it_is(context, tmp_path, rows):
    shards = write_split(tmp_path / "set", "m", [[tensor("a")], [tensor("b")], [tensor("c")]])
    make(context, rows, tmp_path, cut=LAYERED)
    model = opened(context)
    assert [p.read_bytes() for p in model.files(Role.MODEL)] == [p.read_bytes() for p in shards]
    assert [layer.path for layer in model.artifact.of(Role.MODEL)] == [p.name for p in shards]


def test_the_shards_of_a_split_model_may_all_be_named(context, tmp_path):
    shards = write_split(tmp_path / "set", "m", [[tensor("a")], [tensor("b")]])
    text = "\n".join(f"FROM {path}" for path in reversed(shards))
    make(context, text, tmp_path)
    assert len(opened(context).files(Role.MODEL)) == 2
    with pytest.raises(GgufError, match="given twice"):
        make(context, f"{text}\nFROM {shards[0]}", tmp_path)
    shards[1].unlink()
    with pytest.raises(GgufError, match="missing"):
        make(context, f"FROM {shards[0]}", tmp_path)


def test_adapters_drafts_and_projectors_travel_along(context, folder):
    (folder / "lora.gguf").write_bytes(kind_of("adapter"))
    (folder / "vision.gguf").write_bytes(kind_of("mmproj"))
    write_model(folder / "draft.gguf", blocks=1)
    text = "FROM m.gguf\nFROM vision.gguf\nADAPTER lora.gguf\nDRAFT draft.gguf"
    make(context, text, folder)
    model = opened(context)
    assert roles(model) == ["model", "projector", "adapter", "draft"]
    assert model.artifact.facts.inputs == ("text", "image")
    assert model.files(Role.DRAFT)[0].read_bytes() == (folder / "draft.gguf").read_bytes()


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("FROM lora.gguf", InputError, "GGUF adapter"),
        ("FROM m.gguf\nFROM second.gguf", InputError, "two models"),
        ("FROM m.gguf\nADAPTER second.gguf", InputError, "not a LoRA adapter"),
        ("FROM m.gguf\nADAPTER gone.gguf", NotFoundError, "gone"),
        ("FROM m.gguf\nDRAFT lora.gguf", InputError, "not one model"),
        ("FROM m.gguf\nDOC gone.md", NotFoundError, "gone"),
        ("FROM m.gguf\nDOC sub", InputError, "not a file"),
        ("FROM m.gguf\nADAPTER lora.gguf\nADAPTER sub/lora.gguf", InputError, "would travel as"),
        ("FROM gone.gguf", NotFoundError, "no such file"),
        ("FROM text.gguf", GgufError, "not a GGUF"),
        ("FROM cut.gguf", GgufError, "truncated"),
        ("FROM vision.gguf", InputError, "names no model"),
        ("FROM one\nFROM two", InputError, "two models: one and two"),
        ("FROM nobody", NotFoundError, "no such model"),
        ("SYSTEM no base", ModelfileError, "FROM"),
    ],
)
def test_a_build_refuses_what_does_not_fit_and_stores_no_name(context, folder, text, error, what):
    data = write_model(folder / "second.gguf", blocks=1)
    (folder / "cut.gguf").write_bytes(data[:-5000])
    (folder / "text.gguf").write_text("this is a text, not a model; but long enough for a header")
    (folder / "sub").mkdir()
    for name in ("lora.gguf", "sub/lora.gguf"):
        (folder / name).write_bytes(kind_of("adapter"))
    (folder / "vision.gguf").write_bytes(kind_of("mmproj"))
    with pytest.raises(error, match=what):
        make(context, text, folder)
    assert list(context.store.list(lambda _text: None)) == []
    assert leftovers(context.store.layout.root) == []


def test_a_large_document_is_refused(context, folder):
    with (folder / "big.md").open("wb") as file:
        file.truncate(limits.TEXT_LAYER + 1)
    with pytest.raises(InputError, match="larger than"):
        make(context, "FROM m.gguf\nDOC big.md", folder)


def test_a_label_too_long_for_a_manifest_is_refused(context, folder):
    with pytest.raises(LimitError):
        make(context, f"FROM m.gguf\nLABEL a={'x' * limits.MANIFEST}", folder)


@pytest.mark.parametrize("name", ["a\\b.gguf", "a\nb.gguf", "a\udcff.gguf"])
@pytest.mark.parametrize("cut", [LAYERED, Cut(size=None)])
def test_a_file_name_that_cannot_travel_is_refused(context, folder, name, cut):
    (folder / "m.gguf").rename(folder / name)
    with pytest.raises(InputError, match="cannot travel"):
        make(context, "FROM .", folder, cut=cut)


def test_a_build_has_the_name_of_its_folder_unless_it_is_given_one(context, folder):
    from modelpack.ops.build import BuildOptions, build

    built = build(context, b"FROM m.gguf", BuildOptions(context=folder))
    assert [str(r) for r in built.references] == ["my-model:latest"]
    built = build(context, b"FROM m.gguf", BuildOptions(context=folder, tags=["a", "b/c:1"]))
    assert [str(r) for r in built.references] == ["a:latest", "b/c:1"]
    assert opened(context, "b/c:1").manifest.digest == built.manifest.digest


def test_a_build_gets_the_default_registry(tmp_path, folder):
    context = context_in(tmp_path / "models", MODELPACK_REGISTRY="ghcr.io/team")
    built = make(context, "FROM m.gguf", folder, "model:1")
    assert str(built.references[0]) == "ghcr.io/team/model:1"
    assert opened(context, "model:1").name == "ghcr.io/team/model:1"
    assert opened(context, "ghcr.io/team/model:1").name == "ghcr.io/team/model:1"


@pytest.mark.parametrize("tag", ["Upper", "a:b:c", "../x", f"m@sha256:{'0' * 64}"])
def test_a_build_refuses_names_before_it_reads_anything(context, tmp_path, tag):
    with pytest.raises(InputError):
        make(context, "FROM gone.gguf", tmp_path, tag)


def test_a_build_tells_near_names(context, folder):
    make(context, "FROM m.gguf", folder, "team/llama:8b")
    with pytest.raises(NotFoundError) as caught:
        make(context, "FROM team/lama:8b", folder, "x")
    assert "team/llama:8b" in str(caught.value.hint)


def test_a_build_may_link_files(context, folder):
    make(context, "FROM m.gguf", folder, link=True)
    assert opened(context).files(Role.MODEL)[0].samefile(folder / "m.gguf")


def test_a_build_stores_the_same_content_once(context, folder):
    make(context, "FROM m.gguf", folder, "one")
    before = blob_names(context.store.layout.root)
    make(context, "FROM m.gguf", folder, "two")
    assert blob_names(context.store.layout.root) == before


def test_parameters_are_stored_as_sorted_json(context, folder):
    make(context, "FROM m.gguf\nPARAMETER top_k 5\nPARAMETER min_p 0.1", folder)
    assert opened(context).text(Role.PARAMS) == '{"min_p":0.1,"top_k":5}'
    assert json.loads(opened(context).text(Role.PARAMS) or "") == {"min_p": 0.1, "top_k": 5}


def test_a_build_into_a_store_that_cannot_be_written_has_a_hint(tmp_path, folder):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelPackError) as caught:
        make(context_in(tmp_path / "file"), "FROM m.gguf", folder)
    assert "MODELPACK_MODELS" in str(caught.value.hint)
