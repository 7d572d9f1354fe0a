"""`docs/modelfile.md`: every snippet parses, and its tables are those of the code."""

from __future__ import annotations

import json
import re

import pytest

from docs import examples
from modelpack.cli.app import main
from modelpack.modelfile import parse
from modelpack.modelfile.model import INSTRUCTIONS
from modelpack.modelfile.parameters import PARAMETERS
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.models import describe

DOCUMENT = examples.ROOT / "docs" / "modelfile.md"
TEXT = DOCUMENT.read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```modelfile\n(.*?)^```$", TEXT, flags=re.M | re.S)


def block(mark):
    """Return the code block behind *mark*."""
    return re.search(rf"<!-- {mark} -->\n```text\n(.*?)```", TEXT, flags=re.S)[1]


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_a_snippet_parses_without_a_warning(number):
    assert parse(SNIPPETS[number]).warnings == ()


def test_every_instruction_has_a_row_a_section_and_a_snippet():
    rows = re.findall(r"^\| \[(.+?)\]\(#", TEXT, flags=re.M)
    assert {name for row in rows for name in re.findall("[A-Z]+", row)} == set(INSTRUCTIONS)
    headings = " ".join(re.findall(r"^## (.+)$", TEXT, flags=re.M))
    assert set(INSTRUCTIONS) <= set(re.findall("[A-Z]+", headings))
    used = {i.name for snippet in SNIPPETS for i in parse(snippet).instructions}
    assert used == set(INSTRUCTIONS)


def test_the_table_of_parameters_is_that_of_the_code():
    rows = re.findall(
        r"^\| `(\w+)` \| (int|float|bool|strings) \| (.*?) \| (.+) \|$", TEXT, flags=re.M
    )
    assert [tuple(cell.strip() for cell in row) for row in rows] == [
        (p.name, p.type, "" if p.default is None else f"`{p.default}`", p.meaning)
        for p in PARAMETERS.values()
        if not p.ignored
    ]


def test_the_ignored_parameters_are_named():
    sentence = re.search(r"have no effect and are left out with a warning:(.*?)\.\n", TEXT, re.S)
    assert re.findall(r"`(\w+)`", sentence[1]) == [p.name for p in PARAMETERS.values() if p.ignored]


def test_the_error_that_is_shown_is_real(tmp_path, capfd, monkeypatch):
    (tmp_path / "Modelfile").write_text(block("wrong"))
    monkeypatch.setattr("sys.argv", ["modelpack", "build", str(tmp_path)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert capfd.readouterr().err == block("error")


def derived(tmp_path, text):
    """Build *text* on the example model, and tell what came out."""
    example = examples.make(tmp_path)
    options = BuildOptions(context=tmp_path, tags=["derived"])
    build(example.context, f"FROM example\n{text}".encode(), options)
    return describe(example.context, "example"), describe(example.context, "derived")


def test_what_another_model_has_is_taken_over(tmp_path):
    base, again = derived(tmp_path, "")
    assert again.digest == base.digest


def test_what_a_modelfile_says_replaces_or_adds(tmp_path):
    base, model = derived(
        tmp_path,
        "SYSTEM new\nMESSAGE user new\nPARAMETER stop new\nPARAMETER seed 1\nREQUIRES 2.0.0\n"
        "PARSER new\nLABEL a=b\nLICENSE MIT\nDOC README.md\nADAPTER lora.gguf",
    )
    assert (model.system, model.messages) == ("new", (("user", "new"),))
    assert model.parameters == base.parameters | {"stop": ["new"], "seed": 1}
    assert model.settings == {"requires": "2.0.0", "parser": "new"}
    assert model.labels == base.labels | {"a": "b"}
    assert model.licenses == (*base.licenses, "MIT")
    assert [path for _, path, *_ in model.layers] == sorted_in(
        [path for _, path, *_ in base.layers], after="LICENSE-2", new="LICENSE-3"
    )


def sorted_in(paths, after, new):
    at = paths.index(after) + 1
    return [*paths[:at], new, *paths[at:]]


def test_an_empty_system_prompt_leaves_none(tmp_path):
    assert derived(tmp_path, 'SYSTEM ""')[1].system == ""


def test_a_folder_with_the_name_of_a_model_wins(tmp_path):
    example = examples.make(tmp_path)
    (tmp_path / "example").mkdir()
    examples.write_files(tmp_path / "example")
    (tmp_path / "example" / "lora.gguf").unlink()
    (tmp_path / "example" / "draft.gguf").unlink()
    options = BuildOptions(context=tmp_path, tags=["folder"])
    manifest = build(example.context, b"FROM example", options).manifest
    config = json.loads(example.context.store.read(manifest.config, 1 << 20))
    assert config["config"]["capabilities"]["inputTypes"] == ["text", "image"]
    assert len(manifest.layers) == 2
