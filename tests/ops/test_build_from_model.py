from __future__ import annotations

import pytest
from support.ggufs import gguf_bytes, metadata, tensor, write_model
from support.models import LAYERED, blob_names, context_in, make, opened

from modelpack.errors import NotFoundError
from modelpack.formats.artifact import Role
from modelpack.gguf.values import Value

BASE = """FROM m.gguf
ADAPTER lora.gguf
TEMPLATE base template
SYSTEM base system
PARAMETER temperature 0.5
PARAMETER stop A
PARAMETER stop B
MESSAGE user base
LICENSE base licence
RENDERER base-renderer
PARSER base-parser
LABEL org.example.a=base
LABEL org.example.b=base
DOC notes.md
"""


@pytest.fixture
def context(tmp_path):
    return context_in(tmp_path / "models")


@pytest.fixture
def folder(tmp_path, context):
    path = tmp_path / "context"
    write_model(path / "m.gguf")
    adapter = metadata(general__type=Value.string("adapter"))
    (path / "lora.gguf").write_bytes(gguf_bytes(adapter, [tensor("l")]))
    (path / "notes.md").write_text("base notes")
    make(context, BASE, path, "base", cut=LAYERED)
    return path


def derived(context, folder, text):
    make(context, f"FROM base\n{text}", folder, "derived")
    return opened(context, "base"), opened(context, "derived")


def layers(model, *but: Role):
    return [layer for layer in model.artifact.layers if layer.role not in but]


def test_everything_is_inherited(context, folder):
    base, model = derived(context, folder, "")
    assert model.manifest.raw == base.manifest.raw


def test_weights_are_not_copied(context, folder):
    before = blob_names(context.store.layout.root)
    derived(context, folder, "SYSTEM another")
    assert len(blob_names(context.store.layout.root) - before) == 2


@pytest.mark.parametrize(
    ("text", "role", "expected"),
    [
        ("TEMPLATE mine", Role.TEMPLATE, "mine"),
        ("SYSTEM mine", Role.SYSTEM, "mine"),
        ("MESSAGE user mine", Role.MESSAGES, '[{"role":"user","content":"mine"}]'),
    ],
)
def test_one_layer_is_replaced(context, folder, text, role, expected):
    base, model = derived(context, folder, text)
    assert model.text(role) == expected
    assert layers(model, role) == layers(base, role)


def test_parameters_are_merged(context, folder):
    _, model = derived(context, folder, "PARAMETER temperature 1\nPARAMETER top_k 5")
    assert model.parameters() == {"temperature": 1.0, "top_k": 5, "stop": ["A", "B"]}


def test_stop_words_are_replaced_as_a_whole(context, folder):
    _, model = derived(context, folder, "PARAMETER stop C")
    assert model.parameters() == {"temperature": 0.5, "stop": ["C"]}


def test_licences_are_appended(context, folder):
    base, model = derived(context, folder, "LICENSE mine")
    assert model.licenses() == ("base licence", "mine")
    assert layers(model, Role.LICENSE) == layers(base, Role.LICENSE)


def test_settings_are_merged(context, folder):
    _, model = derived(context, folder, "RENDERER mine")
    assert model.settings() == {"renderer": "mine", "parser": "base-parser"}


def test_labels_are_merged(context, folder):
    _, model = derived(context, folder, "LABEL org.example.b=mine\nLABEL org.example.c=mine")
    assert model.artifact.labels == {
        "org.example.a": "base",
        "org.example.b": "mine",
        "org.example.c": "mine",
    }


def test_documents_are_replaced_by_their_path(context, folder):
    (folder / "notes.md").write_text("mine")
    (folder / "more.md").write_text("more")
    _, model = derived(context, folder, "DOC notes.md\nDOC more.md")
    assert [layer.path for layer in model.artifact.of(Role.DOC)] == ["notes.md", "more.md"]
    assert [path.read_text() for path in model.files(Role.DOC)] == ["mine", "more"]


def test_adapters_are_replaced(context, folder):
    other = metadata(general__type=Value.string("adapter"), general__name=Value.string("other"))
    (folder / "other.gguf").write_bytes(gguf_bytes(other, [tensor("l")]))
    _, model = derived(context, folder, "ADAPTER other.gguf")
    assert [layer.path for layer in model.artifact.of(Role.ADAPTER)] == ["other.gguf"]


def test_facts_are_inherited(context, folder):
    base, model = derived(context, folder, "SYSTEM x")
    assert model.artifact.facts == base.artifact.facts


def test_a_timestamp_is_not_inherited(context, folder):
    make(context, "FROM base", folder, "dated", created="2026-01-31T12:00:00Z")
    make(context, "FROM dated", folder, "undated")
    assert opened(context, "dated").artifact.facts.created == "2026-01-31T12:00:00Z"
    assert opened(context, "undated").manifest.raw == opened(context, "base").manifest.raw


def test_a_model_may_be_rebuilt_under_its_own_name(context, folder):
    make(context, "FROM base\nSYSTEM second", folder, "base")
    assert opened(context, "base").text(Role.SYSTEM) == "second"
    assert opened(context, "base").text(Role.TEMPLATE) == "base template"


def test_a_base_with_a_missing_blob_says_how_to_get_it(context, folder):
    blob = opened(context, "base").artifact.of(Role.MODEL)[1].blob
    context.store.path(blob.digest).unlink()
    with pytest.raises(NotFoundError, match=blob.digest.short) as caught:
        make(context, "FROM base", folder, "x")
    assert "modelpack pull" in str(caught.value.hint)


def test_the_modelfile_of_a_model_builds_it_again(context, folder, tmp_path):
    from modelpack.ops.models import modelfile_of

    make(context, BASE.replace("DOC notes.md\n", ""), folder, "first")
    text = modelfile_of(opened(context, "first"))
    make(context, text, tmp_path, "second")
    first, second = opened(context, "first"), opened(context, "second")
    for role in (Role.TEMPLATE, Role.SYSTEM, Role.PARAMS, Role.MESSAGES, Role.SETTINGS):
        assert second.text(role) == first.text(role)
    assert second.licenses() == first.licenses()
    assert second.artifact.labels == first.artifact.labels
    assert [f.read_bytes() for f in second.files(Role.ADAPTER)] == [
        f.read_bytes() for f in first.files(Role.ADAPTER)
    ]


UNWRITABLE = 'def f():\n    """One line."""\n    return "\x0c\U0001f469\u200d\U0001f680"\n'


def test_texts_that_a_modelfile_cannot_hold_are_built_and_kept_by_its_own(context, folder):
    from modelpack.modelfile import Instruction, Modelfile, check
    from modelpack.ops.build import BuildOptions, build_from
    from modelpack.ops.models import modelfile_of

    make(context, BASE.replace("DOC notes.md\n", ""), folder, "first")
    said = (("user", "write f"), ("assistant", UNWRITABLE), ("user", ""))
    rows = (Instruction("FROM", ("first",)), *(Instruction("MESSAGE", turn) for turn in said))
    check(Modelfile(rows))
    build_from(context, Modelfile(rows), BuildOptions(context=folder, tags=["second"]))
    assert [(m.role, m.content) for m in opened(context, "second").messages()] == list(said)
    text = modelfile_of(opened(context, "second"))
    assert "\nFROM second" in text
    assert "MESSAGE" not in text
    make(context, text, folder, "third")
    assert opened(context, "third").manifest.raw == opened(context, "second").manifest.raw
