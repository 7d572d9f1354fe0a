from __future__ import annotations

import importlib
import math

import pytest
from engine.fakes import AlphabetDecoder, ask_likely, make_loop, told_by
from engine.made import write_llama
from engine.real import RAMBLE, asked, load_weights, request

from modelpack.engine.base import Delta, Request
from modelpack.engine.likely import TokenLogprob, Top
from modelpack.engine.logprobs import Logprobs
from modelpack.engine.sampling import Sampling
from modelpack.errors import InputError


def told(request: Request) -> list[tuple[str, str]]:
    return told_by(make_loop(AlphabetDecoder()).run(request))


def test_each_piece_tells_of_its_tokens():
    assert told(ask_likely("w")) == [("x", "x"), ("y", "y"), ("z", "z")]


def test_nothing_is_told_unasked():
    loop = make_loop(AlphabetDecoder())
    plain = Request(tokens=(ord("w"),))
    assert all(not event.logprobs for event in loop.run(plain) if isinstance(event, Delta))


def test_what_is_held_back_is_told_with_its_text():
    assert told(ask_likely("v", stop=("xyA",))) == [("w", "w"), ("xyz", "xyz")]
    assert told(ask_likely("v", stop=("zA",))) == [("w", "w"), ("x", "x"), ("y", "y"), ("z", "z")]


def test_a_token_held_back_is_not_told_with_the_text_before_it():
    pieces = told(ask_likely("v", stop=("xyA", "yzB")))
    assert pieces == [("w", "w"), ("x", "x"), ("yz", "yz")]


def test_tokens_of_a_stop_string_are_not_told():
    assert told(ask_likely("a", stop=("def",))) == [("b", "b"), ("c", "c")]


def test_the_likeliest_come_with_what_they_stand_for():
    first = next(iter(make_loop(AlphabetDecoder()).run(ask_likely("w"))))
    (entry,) = first.logprobs
    assert (entry.data, entry.logprob) == (b"x", -0.5)
    assert [(other.text, other.logprob) for other in entry.top] == [("x", -0.5), ("!", -2.0)]


@pytest.mark.model
@pytest.mark.parametrize("size", [300, 5000, 100_000])
@pytest.mark.parametrize("top", [0, 1, 5, 300])
def test_they_are_those_of_a_softmax(top, size):
    numpy = pytest.importorskip("numpy")
    logits = (numpy.random.default_rng(1).standard_normal(size) * 4).astype("f4")
    logits[7:12] = logits.max() - 1  # of equals, the first one is first
    logprobs = Logprobs(top, size)
    logprobs.note(logits)
    logprobs.chose(3)
    (found,) = logprobs.take()
    exact = logits.astype("f8") - math.log(numpy.exp(logits.astype("f8")).sum())
    assert found.logprob == pytest.approx(exact[3], abs=1e-4)
    order = numpy.argsort(-exact, kind="stable")[:top]
    assert list(found.top) == order.tolist()
    assert list(found.top_logprobs) == pytest.approx(exact[order].tolist(), abs=1e-4)


@pytest.mark.model
@pytest.mark.parametrize("size", [300, 5000, 20_000, 100_000])
def test_they_are_the_same_whatever_is_measured_with_them(size):
    numpy = pytest.importorskip("numpy")
    rows = (numpy.random.default_rng(2).standard_normal((300, size)) * 4).astype("f4")
    one, many = Logprobs(5, size), Logprobs(5, size)
    alone = []
    for token, row in enumerate(rows):
        for logprobs in (one, many):
            changed = row.copy()
            logprobs.note(changed)
            if size < 8192:  # a grammar's mask is put on it
                changed += numpy.where(numpy.arange(size) == token, 0, -numpy.inf)
            logprobs.chose(token)
        alone += one.take()
    assert many.take() == alone
    assert many.take() == []


@pytest.fixture(scope="module")
def engine():
    """One that computes a prompt alike, whether it begins with what was computed before or not."""
    with load_weights(flash_attention="off") as loaded:
        yield loaded


def entries(engine, text: str, top: int = 0, **sampling: object):
    tokens = request(engine, text).tokens
    asked_for = Request(
        tokens=tokens, sampling=Sampling(**sampling), logprobs=True, top_logprobs=top
    )
    *pieces, _ = engine.loop.run(asked_for)
    return [entry for piece in pieces for entry in piece.logprobs]


@pytest.mark.model
def test_a_greedy_answer_takes_the_likeliest_and_its_bytes_are_the_text(engine):
    found = entries(engine, asked(), top=3, temperature=0)
    assert b"".join(entry.data for entry in found) == b"The capital of France is Paris."
    for entry in found:
        assert entry.token == entry.top[0].token
        assert entry.logprob == entry.top[0].logprob
        assert 0 >= entry.top[0].logprob >= entry.top[1].logprob >= entry.top[2].logprob


@pytest.mark.model
def test_all_probabilities_together_are_one(engine):
    (entry,) = entries(engine, RAMBLE, top=engine.vocabulary.size, num_predict=1, temperature=0)
    assert sum(math.exp(other.logprob) for other in entry.top) == pytest.approx(1, abs=1e-4)


@pytest.mark.model
def test_no_option_changes_what_the_model_finds_likely(engine):
    options = {"temperature": 0, "num_predict": 1}
    (plain,) = entries(engine, asked(), top=5, **options)
    bias = ((plain.top[1].token, 100.0),)
    (biased,) = entries(engine, asked(), top=5, logit_bias=bias, repeat_penalty=1.5, **options)
    assert biased.top == plain.top
    assert biased.token == plain.top[1].token
    assert biased.logprob == plain.top[1].logprob


@pytest.mark.model
def test_characters_of_several_tokens_are_told_together(engine):
    text = "🦙"
    tokens = engine.vocabulary.tokenize(text, special=False)
    assert len(tokens) > 1
    bias = tuple((token, 100.0) for token in tokens[:1])
    found = entries(engine, asked(), temperature=0, num_predict=4, logit_bias=bias)
    assert [entry.token for entry in found] == [tokens[0]] * 4


@pytest.mark.model
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top_logprobs": -1}, "top_logprobs"),
        ({"top_logprobs": 1001}, "top_logprobs"),
        ({"sampling": Sampling(logit_bias=((768, 1.0),))}, "names token 768"),
        ({"sampling": Sampling(logit_bias=((-1, 1.0),))}, "names token -1"),
        ({"sampling": Sampling(logit_bias=((1, math.nan),))}, "no number"),
        ({"sampling": Sampling(logit_bias=((1, 1.0), (1, 2.0)))}, "two values"),
    ],
)
def test_options_out_of_range_are_refused_before_anything_begins(engine, change, message):
    with pytest.raises(InputError, match=message):
        engine.loop.submit(Request(**{"tokens": (1,), "logprobs": True, **change}))
    assert not engine.loop.busy


@pytest.mark.model
def test_a_token_of_minus_infinity_never_comes_and_one_of_plus_100_always(engine):
    (first,) = entries(engine, asked(), temperature=0, num_predict=1)
    banned = {"logit_bias": ((first.token, -math.inf),), "temperature": 1.5, "num_predict": 1}
    assert first.token not in {
        entries(engine, asked(), seed=seed, **banned)[0].token for seed in range(30)
    }
    forced = {"logit_bias": ((300, 100.0),), "temperature": 1.0, "num_predict": 5}
    assert [entry.token for entry in entries(engine, asked(), seed=1, **forced)] == [300] * 5


@pytest.mark.model
@pytest.mark.parametrize("options", [{}, {"temperature": 0}, {"repeat_penalty": 1.3}])
def test_biases_choose_the_same_from_a_shortlist_as_from_everything(tmp_path, monkeypatch, options):
    sampler = importlib.import_module("modelpack.engine.sampler")
    bias = tuple((token, float(token % 9) - 4) for token in range(100, 180))

    model = write_llama(tmp_path / "m", words=20_000)

    def said() -> list[int]:
        text = {"seed": 3, "num_predict": 80, "logit_bias": bias}
        with load_weights(model, n_ctx=256) as loaded:  # what is reused moves the last digits
            return [entry.token for entry in entries(loaded, "Hello", **text, **options)]

    short = said()
    monkeypatch.setattr(sampler, "WORTHWHILE", 10**9)
    assert said() == short
    assert len(set(short)) > 3


def test_the_likeliest_are_made_when_they_are_looked_at():
    entries = (TokenLogprob(7, b"a", -0.5), TokenLogprob(9, b"\xc3", -1.5))
    top = Top([7, 9], [b"a", b"\xc3"], [-0.5, -1.5])
    assert (len(top), top[0], top[-1], list(top[1:])) == (2, *entries, [entries[1]])
    assert top == entries == Top.of(entries)
    assert hash(TokenLogprob(7, b"a", -0.5, top)) == hash(TokenLogprob(7, b"a", -0.5, entries))
    assert top != entries[:1]
    assert top != 7
