from __future__ import annotations

import random

import pytest
from engine.made import write_pieces
from engine.real import STORIES, TINY, load_weights, require

from modelpack import limits
from modelpack.engine import vocabulary
from modelpack.engine.cuts import EVERY, Cuts
from modelpack.errors import LimitError

ALPHABET = "<>ab \n"
NAMES = [
    {"<a>", "<b>"},
    {"<a>", "<a>b", "a>", "b<", "<"},
    {"\n", "\n\n", "\n\n\n", "  ", "   "},
    {"aa", "ab", "ba", "aba", "bb<"},
    {"<a", "a>", ">a", "<a>b<a>"},
]


def fragments(text: str, names: set[str], stripping: set[str]) -> list[tuple[bool, str]]:
    """Take *text* apart as llama.cpp does: the longest names first, each wherever it stands."""
    found = [(False, text)] if text else []
    for name in sorted(names, key=lambda name: (-len(name), name)):
        after: list[tuple[bool, str]] = []
        for is_name, part in found:
            if is_name:
                after.append((True, part))
                continue
            *before, last = part.split(name)
            for one in before:
                left = one.rstrip() if name in stripping else one
                after += [(False, left)] * bool(left) + [(True, name)]
            after += [(False, last)] * bool(last)
        found = after
    return found


@pytest.mark.parametrize("names", NAMES, ids=["brackets", "nested", "space", "letters", "torn"])
@pytest.mark.parametrize("strips", [False, True])
def test_parts_have_the_fragments_of_the_whole(names, strips):
    draw = random.Random(1)
    stripping = {name for name in names if strips and draw.random() < 0.7}
    cut = 0
    for _ in range(5000):
        text = "".join(draw.choice(ALPHABET) for _ in range(draw.randint(0, 40)))
        parts = list(Cuts(frozenset(names), stripping=bool(stripping), every=1).parts(text))
        assert "".join(parts) == text
        cut += len(parts) > 1
        assert [one for part in parts for one in fragments(part, names, stripping)] == fragments(
            text, names, stripping
        ), parts
    is_never_sure = strips and "\n" in names
    assert (cut == 0) if is_never_sure else (cut > 20)


def test_parts_have_few_names_and_texts_without_names_are_left_alone():
    cuts = Cuts(frozenset({"<a>"}))
    assert max(part.count("<a>") for part in cuts.parts("<a>b" * 5000)) <= EVERY + 1
    assert list(cuts.parts("abc" * 5000)) == ["abc" * 5000]
    assert list(Cuts(frozenset()).parts("abc")) == ["abc"]


@pytest.fixture(scope="module", params=["tiny", "stories", "pieces"])
def engine(request, tmp_path_factory):
    paths = {"tiny": TINY, "stories": STORIES}
    made = tmp_path_factory.mktemp("made") / "pieces"
    path = paths.get(request.param) or write_pieces(made)
    with load_weights(require(path)) as loaded:
        yield loaded


@pytest.mark.model
@pytest.mark.parametrize(
    "how", [{"special": False}, {"special": True}, {"special": False, "between": True}], ids=str
)
def test_a_long_text_has_the_same_tokens_as_if_it_were_not_cut(engine, monkeypatch, how):
    draw = random.Random(2)
    names = sorted(engine.vocabulary.specials)
    words = [
        *names * 2,
        "<tool>",
        "\n\n",
        "\n\n\n",
        "Once ",
        " upon",
        "on",
        "a",
        "é",
        " ",
        "\n",
        "<|",
    ]
    for length in (2000, 2000, 5000, 5000, 5000, 10_000):
        text = "".join(draw.choices(words, k=length))
        cut = engine.vocabulary.tokenize(text, **how)
        with monkeypatch.context() as patched:
            patched.setattr(vocabulary, "_LONG", 10**9)
            assert engine.vocabulary.tokenize(text, **how) == cut


@pytest.mark.model
def test_a_text_is_read_up_to_a_bound(monkeypatch):
    monkeypatch.setattr(limits, "PROMPT", 1000)
    with load_weights() as engine:
        assert engine.vocabulary.tokenize("a" * 1000, special=True)
        with pytest.raises(LimitError, match="1,001 characters; 1,000 are allowed"):
            engine.vocabulary.tokenize("a" * 1001, special=True)
