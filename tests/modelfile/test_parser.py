import pytest

from modelpack import limits
from modelpack.errors import LimitError, ModelfileError
from modelpack.modelfile import Instruction, Message, parse

_COMPLETE = '''
# A comment, and an empty line

FROM ./base-00001-of-00002.gguf
from "./mm proj.gguf"
PARAMETER temperature 0.7
PARAMETER stop "<|im_end|>"
PARAMETER stop "User: "
Parameter num_ctx 2048
PARAMETER num_ctx 4096
TEMPLATE """{{ .System }}
{{ .Prompt }}"""
SYSTEM first
SYSTEM """
Say "yes" # not a comment
or """ no.
"""
ADAPTER ./lora-a.gguf
ADAPTER ./lora-b.gguf
LICENSE MIT
LICENSE Apache-2.0
MESSAGE user Is Toronto in Canada?
MESSAGE assistant """yes
it is"""
RENDERER old
RENDERER qwen3-coder
PARSER qwen3-coder
DRAFT ./draft.gguf
REQUIRES v0.14.0
LABEL org.example.team=nlp org.example.title="A \\"small\\" model"
LABEL org.example.team=speech
DOC README.md
DOC docs/use.md
'''


@pytest.fixture(scope="module")
def complete():
    return parse(_COMPLETE)


def _refused(text):
    with pytest.raises(ModelfileError) as caught:
        parse(text)
    return caught.value


def test_parse_reads_every_instruction(complete):
    assert complete.bases == ("./base-00001-of-00002.gguf", "./mm proj.gguf")
    assert complete.template == "{{ .System }}\n{{ .Prompt }}"
    assert complete.system == '\nSay "yes" # not a comment\nor """ no.\n'
    assert complete.adapters == ("./lora-a.gguf", "./lora-b.gguf")
    assert complete.licenses == ("MIT", "Apache-2.0")
    assert complete.messages == (
        Message("user", "Is Toronto in Canada?"),
        Message("assistant", "yes\nit is"),
    )
    assert (complete.renderer, complete.parser) == ("qwen3-coder", "qwen3-coder")
    assert (complete.draft, complete.requires) == ("./draft.gguf", "0.14.0")
    assert complete.labels == {
        "org.example.team": "speech",
        "org.example.title": 'A "small" model',
    }
    assert complete.docs == ("README.md", "docs/use.md")
    assert complete.warnings == ()


def test_parameters_are_typed_stop_adds_up_and_the_last_of_others_wins(complete):
    assert complete.parameters == {
        "temperature": 0.7,
        "stop": ["<|im_end|>", "User: "],
        "num_ctx": 4096,
    }


def test_what_is_not_written_is_none_or_empty():
    modelfile = parse("FROM a")
    assert (modelfile.template, modelfile.system, modelfile.requires) == (None, None, None)
    assert (modelfile.renderer, modelfile.parser, modelfile.draft) == (None, None, None)
    assert (modelfile.adapters, modelfile.messages, modelfile.docs) == ((), (), ())
    assert (modelfile.parameters, modelfile.labels) == ({}, {})


def test_instructions_know_where_they_are_and_equality_does_not_care():
    modelfile = parse("# x\n\n  FROM a\n\tLABEL k=1 l=2\n")
    places = [(i.line, i.column) for i in modelfile.instructions]
    assert places == [(3, 3), (4, 8), (4, 12)]
    assert modelfile == parse("FROM a\nLABEL k=1\nLABEL l=2")
    assert modelfile.instructions[0] == Instruction("FROM", ("a",))


def test_ignored_parameters_are_left_out_with_a_warning():
    modelfile = parse("FROM a\nPARAMETER mirostat 2\nPARAMETER use_mlock true")
    assert modelfile.parameters == {}
    assert modelfile.warnings == (
        "line 2: parameter mirostat has no effect",
        "line 3: parameter use_mlock has no effect",
    )


@pytest.mark.parametrize("written", ["SYSTEM \n", 'SYSTEM ""\n', 'SYSTEM """"""\n', "SYSTEM "])
def test_an_empty_text_may_be_written_with_or_without_quotes(written):
    assert parse("FROM a\n" + written).system == ""


@pytest.mark.parametrize("version", ["0.14.0", "v1", "1.2", "1.2.3-rc.1", "1.2.3-0a+build.7"])
def test_requires_takes_a_semver(version):
    assert parse(f"FROM a\nREQUIRES {version}").requires == version.removeprefix("v")


@pytest.mark.parametrize("version", ["latest", "1.", "01.2.3", "1.2.3.4", "1.2-rc", "1.2.3-01"])
def test_requires_refuses_anything_else(version):
    error = _refused(f"FROM a\nREQUIRES {version}")
    assert "must be a valid semver" in str(error)
    assert (error.line, error.column) == (2, 10)


@pytest.mark.parametrize("text", ["", "# only a comment", "SYSTEM x", "PARAMETER stop x"])
def test_a_modelfile_without_from_is_refused(text):
    error = _refused(text)
    assert str(error) == "line 1, column 1: no FROM line"
    assert "FROM ./model.gguf" in error.hint


def test_an_unknown_instruction_is_named_with_those_there_are():
    error = _refused("FROM a\n  SYTEM x")
    assert str(error).startswith("line 2, column 3: unknown instruction 'SYTEM'; it must be one of")
    assert "FROM, PARAMETER, TEMPLATE" in str(error)
    assert error.hint == "did you mean SYSTEM?"


def test_text_that_runs_on_without_quotes_is_explained():
    assert '"""' in _refused("FROM a\nSYSTEM one\n1234 two").hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM", "line 1, column 1: FROM has no value"),
        ("FROM  \nSYSTEM x", "line 1, column 1: FROM has no value"),
        ('FROM ""', "line 1, column 1: FROM has no value"),
        ("FROM a\nSYSTEM\n", "line 2, column 1: SYSTEM has no value"),
        ("FROM a\nPARAMETER", "line 2, column 1: PARAMETER has no name"),
        ("FROM a\nPARAMETER seed", "line 2, column 1: PARAMETER seed has no value"),
        ("FROM a\nPARAMETER seed  \n", "line 2, column 1: PARAMETER seed has no value"),
        ("FROM a\nMESSAGE", "line 2, column 1: MESSAGE has no role"),
        ("FROM a\nMESSAGE user\nSYSTEM x", "line 2, column 1: MESSAGE user has no value"),
        ("FROM a\nLABEL", "line 2, column 1: LABEL has no value"),
        ("FROM a\nDOC ", "line 2, column 1: DOC has no value"),
    ],
)
def test_a_missing_value_is_refused(text, message):
    assert str(_refused(text)) == message


def test_an_unknown_parameter_is_refused_with_a_near_name():
    error = _refused("FROM a\nPARAMETER temprature 1")
    assert str(error) == "line 2, column 11: unknown parameter 'temprature'"
    assert error.hint == "did you mean temperature?"


def test_a_parameter_of_the_wrong_type_is_refused_at_its_value():
    error = _refused("FROM a\nPARAMETER num_ctx many")
    assert str(error) == "line 2, column 19: invalid int value 'many' for num_ctx"


@pytest.mark.parametrize("role", ["User", "tool", "asistant"])
def test_a_bad_role_is_refused(role):
    error = _refused(f"FROM a\nMESSAGE {role} hi")
    assert "message role must be one of system, user, assistant" in str(error)
    assert (error.line, error.column) == (2, 9)


def test_a_second_draft_is_refused():
    error = _refused("FROM a\nDRAFT b\nDRAFT c")
    assert str(error) == "line 3, column 1: only one DRAFT is possible"
    assert error.hint == "the first is on line 2"


@pytest.mark.parametrize("kind", [str, bytes])
def test_a_modelfile_larger_than_the_limit_is_refused(kind, monkeypatch):
    monkeypatch.setattr(limits, "MODELFILE", 10)
    text = "FROM abcdef"
    with pytest.raises(LimitError, match="larger than 10 bytes"):
        parse(text if kind is str else text.encode())
