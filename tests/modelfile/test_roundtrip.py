import random

import pytest

from modelpack import limits
from modelpack.errors import InputError
from modelpack.modelfile import Instruction, Modelfile, check, parse, render, writable
from modelpack.modelfile.model import INSTRUCTIONS, ROLES

_PIECES = (
    *('"', '""', '"""', "'", "#", "\\", "\\n", '\\"', "=", "a", "FROM", "SYSTEM x", " ", "  "),
    *("\t", "\n", "\n\n", "\r\n", "\r", "{{ .Prompt }}", "é", "漢", "▁", "🙂", "<|eot|>", ","),
)
_INVISIBLE_PIECES = ("\x00", "\x1b", "\ue000", "\ufeff")
_PARAMETERS = {"num_ctx": ("4096", "-1"), "temperature": ("0.7", "1e-3"), "use_mmap": ("true",)}
_BASE = Instruction("FROM", ("base",))


def _text(rng, pieces=_PIECES):
    return "".join(rng.choice(pieces) for _ in range(rng.randrange(7)))


def _instruction(rng):
    name = rng.choice(INSTRUCTIONS)
    if name == "PARAMETER":
        key = rng.choice(("stop", *_PARAMETERS))
        return Instruction(name, (key, rng.choice(_PARAMETERS.get(key, (_text(rng),)))))
    if name == "MESSAGE":
        return Instruction(name, (rng.choice(ROLES), _text(rng)))
    if name == "LABEL":
        return Instruction(name, ("k" + _text(rng), _text(rng)))
    if name == "REQUIRES":
        return Instruction(name, ("0.14.0-rc.1+b",))
    if name in ("SYSTEM", "TEMPLATE", "LICENSE"):
        return Instruction(name, (_text(rng),))
    return Instruction(name, ("x" + _text(rng),))


def _cannot_be_written(text):
    """The one thing without a notation: a line before the last that ends with three quotes."""
    lines = text.replace("\r", "\n").split("\n")
    return any(line.rstrip(" \t").endswith('"""') for line in lines[:-1])


@pytest.mark.parametrize("seed", range(20))
def test_a_rendered_modelfile_parses_to_itself(seed):
    rng = random.Random(seed)
    written = 0
    for _ in range(100):
        modelfile = Modelfile((_BASE, *(_instruction(rng) for _ in range(rng.randrange(4)))))
        try:
            text = render(modelfile)
        except InputError:
            continue
        assert parse(text) == modelfile
        assert render(parse(text)) == text
        written += 1
    assert written > 50


@pytest.mark.parametrize("seed", range(20))
def test_every_text_is_written_unless_a_line_ends_with_three_quotes(seed):
    rng = random.Random(seed)
    for _ in range(200):
        text = _text(rng)
        modelfile = Modelfile((_BASE, Instruction("SYSTEM", (text,))))
        if _cannot_be_written(text):
            with pytest.raises(InputError, match="cannot be written"):
                render(modelfile)
        else:
            assert parse(render(modelfile)).system == text


@pytest.mark.parametrize("seed", range(10))
def test_every_label_is_written(seed):
    rng = random.Random(seed)
    for _ in range(200):
        key, value = "k" + _text(rng), _text(rng)
        modelfile = Modelfile((_BASE, Instruction("LABEL", (key, value))))
        assert parse(render(modelfile)).labels == {key: value}


@pytest.mark.parametrize("seed", range(10))
def test_arbitrary_input_is_parsed_or_refused_with_a_place(seed):
    rng = random.Random(seed)
    pieces = (*_PIECES, *_INVISIBLE_PIECES, "\nFROM a\n", "\nPARAMETER stop ", "\nLABEL a=")
    for _ in range(300):
        text = _text(rng, pieces)
        try:
            modelfile = parse("FROM a\n" + text)
        except InputError as error:
            assert 1 <= error.line <= text.count("\n") + text.count("\r") + 2
            assert error.column >= 1
        else:
            assert parse(render(modelfile)) == modelfile


@pytest.mark.parametrize("piece", _INVISIBLE_PIECES)
def test_render_refuses_characters_that_would_be_dropped(piece):
    with pytest.raises(InputError, match=f"it holds U\\+{ord(piece):04X}"):
        render(Modelfile((_BASE, Instruction("SYSTEM", (f"a{piece}b",)))))


@pytest.mark.parametrize(
    "instruction",
    [
        Instruction("FROM", ()),
        Instruction("PARAMETER", ()),
        Instruction("SYSTEM", ("a", "b")),
        Instruction("system", ("a",)),
        Instruction("NONSENSE", ("a",)),
        Instruction("PARAMETER", ("num_ctx", "many")),
        Instruction("PARAMETER", ("seed 1\nSYSTEM injected\nPARAMETER seed", "1")),
        Instruction("MESSAGE", ("user x\nSYSTEM injected\nMESSAGE user", "1")),
        Instruction("MESSAGE", ("tool", "a")),
        Instruction("LABEL", ("", "a")),
        Instruction("FROM a\nFROM", ("b",)),
    ],
)
def test_render_refuses_what_is_not_an_instruction(instruction):
    with pytest.raises(InputError):
        render(Modelfile((_BASE, instruction)))


def test_render_refuses_a_modelfile_without_from():
    with pytest.raises(InputError, match="no FROM line"):
        render(Modelfile((Instruction("SYSTEM", ("a",)),)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain words", "SYSTEM plain words"),
        ("", 'SYSTEM ""'),
        (" edge", 'SYSTEM " edge"'),
        ('"quoted"', 'SYSTEM ""quoted""'),
        ('say "hi"', 'SYSTEM say "hi"'),
        ('""x', 'SYSTEM """""x"""'),
        ("two\nlines", 'SYSTEM """two\nlines"""'),
    ],
)
def test_render_takes_the_lightest_quotes_that_do(text, line):
    assert render(Modelfile((_BASE, Instruction("SYSTEM", (text,))))) == f"FROM base\n{line}\n"


def test_render_writes_labels_one_by_one_and_bare_where_that_is_enough():
    modelfile = parse('FROM a\nLABEL org.example/x=1 "two words"="say \\"hi\\"" e=')
    expected = 'LABEL org.example/x=1\nLABEL "two words"="say \\"hi\\""\nLABEL e=""\n'
    assert render(modelfile) == f"FROM a\n{expected}"


@pytest.mark.parametrize(
    ("instruction", "said"),
    [
        (Instruction("MESSAGE", ("ghost", "boo")), "role must be one of"),
        (Instruction("REQUIRES", ("soon",)), "semver"),
        (Instruction("SYSTEM", ("half \ud83d",)), "not Unicode"),
        (Instruction("SYSTEM", ("a", "b")), "with 2 arguments"),
        (Instruction("SYSTEM", ("x" * (limits.MODELFILE + 1),)), "larger"),
    ],
)
def test_what_was_put_together_must_keep_the_rules(instruction, said):
    with pytest.raises(InputError, match=said):
        check(Modelfile((_BASE, instruction)))


def test_what_was_put_together_may_hold_texts_that_cannot_be_written():
    text = Instruction("SYSTEM", ('a\n"""\n\x0c',))
    check(Modelfile((_BASE, text)))
    assert not writable(text)
    assert writable(Instruction("SYSTEM", ("a",)))
