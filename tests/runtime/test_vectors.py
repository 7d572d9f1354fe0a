"""Texts in, vectors and scores out, in this process."""

from __future__ import annotations

import pytest
from engine.bert import MEAN, RANK, SEP, TEXTS, compute, tokens_of, write_bert
from engine.real import TINY, require
from engine.test_embedding import GELU, NOISE, far

from modelpack.engine.purpose import Purpose
from modelpack.errors import EngineError, InputError
from modelpack.runtime.embedded import Embedded, Part, collect
from modelpack.runtime.embedded import require as require_that
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.vectors import VectorModel, load

LIGHT = {"num_thread": 1}
KNOWN = TEXTS[:5]


def files(path, **others: object) -> ModelFiles:
    return ModelFiles(name="made", weights=(path,), **others)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    pytest.importorskip("llama_cpp")
    return write_bert(tmp_path_factory.mktemp("bert") / "bert")


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
    pytest.importorskip("llama_cpp")
    return write_bert(tmp_path_factory.mktemp("rank") / "rank", pooling=RANK)


@pytest.fixture
def model(encoder):
    with load(files(encoder[0]), LIGHT) as model:
        yield model


@pytest.mark.model
def test_texts_become_vectors_in_the_order_asked(model, encoder):
    found = model.embed(KNOWN)
    assert far(found.vectors, [compute(encoder[1], tokens_of(text), MEAN) for text in KNOWN]) < GELU
    assert found.tokens == [len(tokens_of(text)) for text in KNOWN]
    again = model.embed([*reversed(KNOWN)] * 10)
    assert far(again.vectors, [*reversed(found.vectors)] * 10) < NOISE
    assert again.tokens == [*reversed(found.tokens)] * 10
    assert model.embed([]) == Embedded([], [])


@pytest.mark.model
@pytest.mark.parametrize(("asked", "given"), [(None, 32), (0, 32), (7, 7), (32, 32), (99, 32)])
def test_dimensions_cut_and_the_length_is_one_again(model, asked, given):
    whole = model.embed(KNOWN[:1]).vectors[0][:given]
    length = sum(number**2 for number in whole) ** 0.5
    cut = model.embed(KNOWN[:1], dimensions=asked).vectors[0]
    assert len(cut) == given
    assert far([cut], [[number / length for number in whole]]) < 1e-6


@pytest.mark.model
def test_long_texts_are_cut_unless_that_is_not_wanted(model):
    found = model.embed(["the sky is blue " * 30, "a cat"])
    assert found.tokens == [64, 4]
    beginning = "the sky is blue " * 15 + "the sky"
    assert far(found.vectors[:1], model.embed([beginning]).vectors) < NOISE
    with pytest.raises(InputError, match="text 2 has 122 tokens, and the model takes 64"):
        model.embed(["a cat", "the sky is blue " * 30], truncate=False)


@pytest.mark.model
def test_what_makes_no_sense_is_refused(model):
    with pytest.raises(InputError, match="text 2 of 2 is empty"):
        model.embed(["a", ""])
    with pytest.raises(InputError, match="-1 dimensions"):
        model.embed(["a"], dimensions=-1)
    with pytest.raises(EngineError, match="'made' does not compare texts") as raised:
        model.rerank("a", ["b"])
    assert raised.value.hint
    assert model.embed([" "]).tokens == [2]  # as with Ollama: what begins and ends a text
    assert model.embed(["[SEP]"]).tokens[0] > 3  # the name of a control token is text


@pytest.mark.model
def test_documents_are_scored(ranker):
    path, weights = ranker
    query = tokens_of("the cat")[:-1]
    pairs = [[*query, SEP, *tokens_of(text)[1:]] for text in KNOWN]
    with load(files(path), LIGHT) as model:
        scores = model.rerank("the cat", KNOWN)
        assert far([scores], [[compute(weights, pair, RANK) for pair in pairs]]) < GELU
        assert far([model.rerank("the cat", [*reversed(KNOWN)])], [scores[::-1]]) < NOISE
        cut = [*query, SEP, *tokens_of("sky " * 59)[1:]]
        assert far([model.rerank("the cat", ["sky " * 99])], [[compute(weights, cut, RANK)]]) < GELU
        assert model.rerank("the cat", []) == []
        for query, documents, error in (("", ["a"], "query is empty"), ("a", [""], "text 1 of 1"),
                                        ("sky " * 99, ["a"], "too long to compare")):  # fmt: skip
            with pytest.raises(InputError, match=error):
                model.rerank(query, documents)
        with pytest.raises(EngineError, match="compares texts and makes no vectors"):
            model.embed(["a"])


@pytest.mark.model
def test_a_model_that_writes_makes_vectors_too():
    with load(files(require(TINY)), LIGHT) as model:
        found = model.embed(["What is the capital of France?", "Hello"])
        assert far(found.vectors[1:], model.embed(["Hello"]).vectors) < 2e-3
        assert {len(vector) for vector in found.vectors} == {model.width}
        with pytest.raises(EngineError, match="does not compare"):
            model.rerank("a", ["b"])


class Spelled:
    """A vocabulary of characters, with one control token `<x>`, number 1."""

    specials = frozenset({"<x>"})

    def tokenize(self, text: str, *, special: bool) -> list[int]:
        parts = text.split("<x>") if special else [text]
        tokens = [[ord(character) for character in part] for part in parts]
        return [token for at, part in enumerate(tokens) for token in ([1] * bool(at) + part)]


class Compares:
    """What `VectorModel` needs of an embedder whose model says how it is shown pairs."""

    pooling, n_ctx, vocabulary = "rank", 24, Spelled()
    pair_template = "<x>Q:{query}|D:{document}<x>"

    def steps(self, texts, **_: object):
        self.texts = texts
        return iter([(list(range(len(texts))), [[1.0]] * len(texts))])


@pytest.mark.parametrize(
    ("query", "document", "tokens"),
    [
        ("a", "b", "\1Q:a|D:b\1"),
        ("{document}", "b", "\1Q:{document}|D:b\1"),
        ("<x>", "b", "\1Q:<x>|D:b\1"),
        ("a", "0123456789<x>", "\1Q:a|D:0123456789<x>\1"),
        ("a", "0123456789abcdefghijkl", "\1Q:a|D:0123456789abcdef\1"),
    ],
)
def test_the_models_own_template_shows_a_pair_and_nobody_forges_it(query, document, tokens):
    embedder = Compares()
    assert VectorModel("made", embedder).rerank(query, [document]) == [1.0]
    assert "".join(map(chr, embedder.texts[0])) == tokens


@pytest.mark.parametrize("wish", ["text", "vectors", "ranks"])
@pytest.mark.parametrize("purpose", ["text", "vectors", "ranks"])
def test_what_a_model_is_not_for_is_an_error_with_a_hint(wish: Purpose, purpose: Purpose):
    if wish == purpose or (wish, purpose) == ("vectors", "text"):
        require_that(wish, purpose, "tiny")
        return
    with pytest.raises(EngineError, match="the model 'tiny'") as raised:
        require_that(wish, purpose, "tiny")
    assert raised.value.hint


def test_parts_are_put_in_order_and_must_be_all_there():
    parts = [Part([2, 0], [[2.0], [0.0]], [7, 5]), Part([1], [[1.0]], [6])]
    assert collect(parts, 3) == Embedded([[0.0], [1.0], [2.0]], [5, 6, 7])
    with pytest.raises(EngineError, match="no answer"):
        collect(parts[:1], 3)
