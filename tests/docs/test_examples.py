"""`Modelfile.examples`: every Modelfile parses, and builds as its README says."""

from __future__ import annotations

import re
import shlex
import shutil

import pytest

from docs import examples
from modelpack.cli.app import main
from modelpack.modelfile import parse
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context
from modelpack.ops.models import describe

FOLDER = examples.ROOT / "Modelfile.examples"
README = (FOLDER / "README.md").read_text(encoding="utf-8")
MODELFILES = sorted(path.parent.name for path in FOLDER.glob("*/Modelfile"))


def command(monkeypatch, words):
    """Run one command line; it must not fail."""
    monkeypatch.setattr("sys.argv", words)
    try:
        main()
    except SystemExit as end:
        assert not end.code, words


@pytest.mark.parametrize("name", MODELFILES)
def test_an_example_parses_without_a_warning(name):
    assert parse((FOLDER / name / "Modelfile").read_bytes()).warnings == ()


def test_the_readme_names_every_example():
    assert sorted(re.findall(r"^\| \[([a-z-]+)\]", README, flags=re.M)) == MODELFILES


@pytest.mark.skipif(not (FOLDER / "tiny" / "tiny.gguf").exists(), reason="no tiny.gguf")
def test_the_commands_of_the_readme_build(monkeypatch):
    monkeypatch.chdir(examples.ROOT)
    for line in re.findall(r"^ {4}(modelpack build .+)$", README, flags=re.M):
        command(monkeypatch, shlex.split(line))
    context = Context.create()
    tiny, bob = describe(context, "tiny"), describe(context, "bob")
    assert bob.system == "You are Bob."
    assert bob.parameters == tiny.parameters | {"num_predict": 48}
    assert bob.labels == tiny.labels | {"org.opencontainers.image.title": "bob"}
    assert "<|im_start|>assistant" in describe(context, "templated").template
    assert [role for role, _ in describe(context, "few-shot").messages] == ["user", "assistant"] * 2
    for name in ("layered", "by-role"):
        weights = [size for role, *_, size in describe(context, name).layers if role == "model"]
        assert len(weights) > 2
        assert all(size <= 270_000 for size in weights), weights


def test_the_go_template_says_the_same_as_the_one_inside_the_model():
    pytest.importorskip("gotpl")
    pytest.importorskip("jinja2")
    import datetime

    from modelpack.template.chat import ChatMessage
    from modelpack.template.gotemplate import GoTemplate
    from modelpack.template.jinja import JinjaTemplate

    inside = (FOLDER / "tiny" / "chat_template.jinja").read_text()
    written = parse((FOLDER / "chat-template" / "Modelfile").read_bytes()).template
    said = [("system", "You are Bob."), ("user", "Hi"), ("assistant", "Hello."), ("user", "Bye")]
    for turns in (said, said[1:], said[:2]):
        messages = [ChatMessage(role=role, content=text) for role, text in turns]
        today = datetime.date(2026, 1, 31)
        go = GoTemplate(written).render(messages, today=today)
        jinja = JinjaTemplate(inside, bos_token="", eos_token="<|im_end|>")
        assert go == jinja.render(messages, today=today)


@pytest.mark.parametrize("name", ["adapter", "vision"])
def test_examples_with_files_of_the_users_build_with_such_files(name, tmp_path):
    examples.write_files(tmp_path)
    (tmp_path / "example.gguf").rename(tmp_path / "model.gguf")
    shutil.copy(tmp_path / "lora.gguf", tmp_path / "tone.lora.gguf")
    shutil.copy(tmp_path / "lora.gguf", tmp_path / "domain.lora.gguf")
    source = (FOLDER / name / "Modelfile").read_bytes()
    context = Context.create()
    build(context, source, BuildOptions(context=tmp_path, tags=[name]))
    roles = [role for role, *_ in describe(context, name).layers]
    expected = {
        "adapter": ["model", "adapter", "adapter", "license", "doc"],
        "vision": ["model", "projector", "params", "license"],
    }
    assert roles == expected[name]
