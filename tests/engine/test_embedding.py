"""Vectors and scores, next to what numpy and the bindings' own class make of the same weights."""

from __future__ import annotations

import random

import pytest
from engine import made
from engine.bert import CLS, FIRST, LAST, MEAN, RANK, SEP, TEXTS, compute, tokens_of, write_bert
from engine.made import write_gemma, write_llama, write_mamba
from engine.real import TINY, asked, load_weights, request, require, with_metadata, write_adapter

from modelpack.engine.base import Adapter, LoadOptions
from modelpack.engine.embedding import Embedder, embedder_beside, load_embedder
from modelpack.errors import EngineError, InputError
from modelpack.gguf.values import Value, ValueType

pytestmark = pytest.mark.model

KNOWN = TEXTS[:5]
NAMES = {MEAN: "mean", FIRST: "cls", LAST: "last"}
GELU = 2e-3
"""How far llama.cpp's GELU takes a vector of ours from numpy's."""
NOISE = 2e-4
"""How far the company of others takes the vectors of encoders, for their GELU is a table."""
HALF = 2e-3
"""How far keys and values of half precision take the vectors of models that write."""
WRITERS = {
    "tiny": lambda _: require(TINY),
    "llama": write_llama,
    "gemma": lambda path: write_gemma(path, window=16),
    "mamba": write_mamba,
}


def load(path, **options: object) -> Embedder:
    return load_embedder(LoadOptions(weights=(path,), n_threads=1, **options))


def reference(path, texts: list[list[int]], kind: int) -> list[list[float]]:
    """What the bindings' own class says, one text at a time."""
    llama_cpp = pytest.importorskip("llama_cpp")
    model = llama_cpp.Llama(
        str(path), embedding=True, pooling_type=kind, n_ctx=512, n_threads=1, verbose=False
    )
    if kind == RANK:
        model.n_embd = lambda: 1  # it would read a whole vector where there is a score
    found = []
    for tokens in texts:
        model.tokenize = lambda *_, tokens=tokens, **__: tokens
        found.append(model.embed("", normalize=kind != RANK))
    model.close()
    return found


def write_qwen3_ranker(path):
    """Write a model that writes and was made into one that compares, by its last token."""
    quarter = made._WIDTH // 4
    numbers = {"feed_forward_length": 128, "attention.head_count": 4, "pooling_type": RANK}
    numbers |= {"attention.head_count_kv": 4, "attention.key_length": quarter}
    numbers |= {"attention.value_length": quarter}
    tensors = [*made._attention(), ("cls.output.weight", (made._WIDTH, 2))]
    for block in range(2):
        tensors += [(f"blk.{block}.attn_{name}_norm.weight", (quarter,)) for name in "qk"]
    made._write(path, "qwen3", numbers, tensors)
    labels = Value.array(ValueType.STRING, ["yes", "no"])
    return with_metadata(path, path.with_suffix(".2"), qwen3__classifier__output_labels=labels)


def far(one, other) -> float:
    """The largest difference between two lists of vectors."""
    assert len(one) == len(other)
    return max(
        abs(a - b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("pooling", NAMES)
def test_an_encoder_makes_what_numpy_makes_of_its_weights(pooling, tmp_path):
    path, weights = write_bert(tmp_path / "bert", pooling=pooling)
    texts = [tokens_of(text) for text in KNOWN]
    with load(path) as model:
        assert (model.pooling, model.width) == (NAMES[pooling], 32)
        found = model.embed(texts)
        assert [model.tokenize(text) for text in KNOWN] == texts
    assert far(found, [compute(weights, text, pooling) for text in texts]) < GELU
    assert far(found, reference(path, texts, pooling)) < 1e-6
    assert far(found[:1], found[1:2]) > 0.1


def test_an_encoder_that_says_nothing_has_the_mean_of_all(tmp_path):
    path, weights = write_bert(tmp_path / "bert", pooling=None)
    with load(path) as model:
        found = model.embed([tokens_of(KNOWN[0])])
        assert model.pooling == "mean"
    assert far(found, [compute(weights, tokens_of(KNOWN[0]), MEAN)]) < GELU


def test_pairs_are_scored_as_numpy_scores_them(tmp_path):
    path, weights = write_bert(tmp_path / "rank", pooling=RANK)
    query = tokens_of("a cat")[1:-1]
    with load(path) as model:
        pairs = [model.pair(query, tokens_of(text)[1:-1]) for text in KNOWN]
        assert pairs[0] == [CLS, *query, SEP, *tokens_of(KNOWN[0])[1:]]
        scores = model.rank(pairs)
        with pytest.raises(EngineError, match="makes no vectors"):
            model.embed(pairs)
        long = model.pair(query, [9] * 500)
        assert len(long) == model.n_ctx == 64
        assert (long[:4], long[-2:]) == ([CLS, *query, SEP], [9, SEP])
        with pytest.raises(InputError, match="too long to compare"):
            model.pair([9] * 61, [9])
    assert far([scores], [[compute(weights, pair, RANK) for pair in pairs]]) < GELU
    said = reference(path, pairs, RANK)
    assert far([[score] for score in scores], said) < 1e-5
    assert max(scores) - min(scores) > 0.1


def test_a_ranker_made_of_a_model_that_writes_looks_at_the_last_token(tmp_path):
    path = write_qwen3_ranker(tmp_path / "model")
    texts = [list(range(20, 20 + count)) for count in (7, 1, 30, 2, 100)]
    with load(path) as model:
        assert (model.pooling, model.width, model._context._in_two) == ("rank", 2, True)
        scores = model.rank(texts)
    said = reference(path, texts, RANK)
    assert far([[score] for score in scores], said) < HALF
    assert max(scores) - min(scores) > 0.1


@pytest.mark.parametrize("kind", WRITERS)
def test_a_model_that_writes_makes_vectors_of_the_last_token(kind, tmp_path):
    path = WRITERS[kind](tmp_path / "model")
    texts = [list(range(20, 20 + count)) for count in (7, 1, 30, 2, 100)]
    with load(path) as model:
        together = model.embed(texts)
        alone = [model.embed([text])[0] for text in texts]
        assert model.pooling == "last"
    assert far(together, alone) < HALF
    assert far(together, reference(path, texts, LAST)) < HALF
    assert far(together[:1], together[2:3]) > 0.01


@pytest.mark.parametrize("pooling", NAMES)
def test_a_vector_is_the_same_alone_and_in_a_batch_and_in_the_order_asked(pooling, tmp_path):
    path, _ = write_bert(tmp_path / "bert", pooling=pooling)
    draw = random.Random(3)
    texts = [[CLS, *draw.choices(range(5, 40), k=draw.randint(1, 62)), SEP] for _ in range(70)]
    with load(path) as model:
        together = model.embed(texts)
        alone = [model.embed([text])[0] for text in texts]
    assert far(together, alone) < NOISE


def test_vectors_have_the_length_one_unless_their_own_is_wanted(tmp_path):
    path, _ = write_bert(tmp_path / "bert")
    texts = [tokens_of(text) for text in KNOWN]
    with load(path) as model:
        unit, own = model.embed(texts), model.embed(texts, normalize=False)
        cut = [
            row for _, rows in model.steps(texts[:1], dimensions=5, normalize=True) for row in rows
        ]
    for one, other in zip(unit, own, strict=True):
        length = sum(number**2 for number in other) ** 0.5
        assert abs(length - 1) > 0.1
        assert far([one], [[number / length for number in other]]) < 1e-6
    length = sum(number**2 for number in own[0][:5]) ** 0.5
    assert far(cut, [[number / length for number in own[0][:5]]]) < 1e-6


def test_what_cannot_become_a_vector_is_refused_before_anything_is_computed(tmp_path):
    path, _ = write_bert(tmp_path / "bert")
    with load(path) as model:
        model._context.compute = None
        with pytest.raises(InputError, match="text 2 is empty"):
            model.embed([[CLS, SEP], []])
        with pytest.raises(InputError, match=r"exceeds the context length: text 3 has 65 tokens"):
            model.embed([[CLS], [CLS], [9] * 65])
        with pytest.raises(EngineError, match="does not compare"):
            model.rank([[CLS, SEP]])
        assert model.embed([]) == []


def test_long_texts_are_cut_between_what_begins_and_ends_them(tmp_path):
    path, _ = write_bert(tmp_path / "bert")
    with load(path, n_ctx=16) as model:
        text = "the sky is blue " * 50
        assert len(model.tokenize(text)) == 202
        cut = model.tokenize(text, truncate=True)
        assert cut == [CLS, *tokens_of(text)[1:15], SEP]
        assert len(model.embed([cut])[0]) == 32
        assert model.tokenize("a [SEP] [CLS]", truncate=True).count(SEP) == 1


def test_an_embedder_beside_an_engine_shares_its_weights_and_disturbs_nothing():
    options = LoadOptions(weights=(require(TINY),), n_threads=1)
    with load_weights() as engine, load(TINY) as own:
        tokens = engine.vocabulary.tokenize(asked(), special=True)
        wish = request(engine, asked(), temperature=0, num_predict=20)
        before = [*engine.loop.run(wish)][:-1]
        with embedder_beside(engine, options) as beside:
            assert beside.embed([tokens]) == own.embed([tokens])
            going = engine.loop.run(wish)
            first = next(going)
            assert beside.embed([tokens]) == own.embed([tokens])
            assert [first, *going][:-1] == before
        assert [*engine.loop.run(wish)][:-1] == before


def test_adapters_change_vectors(tmp_path):
    adapter = Adapter(write_adapter(tmp_path / "lora"), 1.0)
    with load(require(TINY)) as plain, load(TINY, adapters=(adapter,)) as other:
        assert far(plain.embed([[20, 30]]), other.embed([[20, 30]])) > 0.01


def test_one_that_is_closed_says_so(tmp_path):
    path, _ = write_bert(tmp_path / "bert")
    model = load(path)
    steps = model.steps([[CLS, SEP]])
    model.close()
    model.close()
    with pytest.raises(EngineError, match="was unloaded"):
        next(steps)
