"""Models whose memory is of another kind: what is reused must never change what is said."""

from __future__ import annotations

import random

import pytest
from engine.made import write_gemma, write_llama, write_mamba
from engine.real import load_weights, request

from modelpack.engine.base import Delta, Request
from modelpack.engine.sampling import Sampling

pytestmark = pytest.mark.model

WINDOW = 16
WORDS = "the sky is blue and Paris was large but not so old"
KINDS = {
    "llama": write_llama,
    "mamba": write_mamba,
    "gemma": lambda path: write_gemma(path, window=WINDOW),
}


@pytest.fixture(params=KINDS)
def model(request, tmp_path):
    return KINDS[request.param](tmp_path / request.param)


def answer(engine, text: str, **options: object):
    *pieces, finished = engine.loop.run(request(engine, text, temperature=0, **options))
    return "".join(piece.text for piece in pieces), finished


def prompts() -> list[str]:
    """Texts that begin, in turn, like the one before, like a part of it, or like none."""
    draw = random.Random(5)
    words = WORDS.split()
    made = [" ".join(draw.choices(words, k=60))]
    for _ in range(7):
        last = made[-1].split()
        keep = draw.choice([len(last), len(last) - 1, len(last) - 9, len(last) // 2, 3])
        made.append(" ".join([*last[:keep], *draw.choices(words, k=8)]))
    return [*made, made[-1], made[-2]]


def test_what_is_reused_changes_no_answer(model):
    small = {"n_ctx": 256, "n_batch": 16, "n_ubatch": 16}  # a window soon lets go of what is old
    with load_weights(model, **small) as engine:
        reused = [answer(engine, prompt, num_predict=12) for prompt in prompts()]
    for prompt, (said, _) in zip(prompts(), reused, strict=True):
        with load_weights(model, **small) as fresh:
            assert answer(fresh, prompt, num_predict=12)[0] == said


def test_a_conversation_that_goes_on_is_reused_by_every_kind(model):
    with load_weights(model, n_ctx=256) as engine:
        first = f"{WORDS} " * 2
        said, ended = answer(engine, first, num_predict=5)
        tokens = (*request(engine, first).tokens,)
        held = engine.loop._memory.slots[0].held
        assert held[: len(tokens)] == list(tokens)
        again = Request(tokens=(*held, *tokens[:4]), sampling=Sampling(num_predict=1))
        *_, finished = engine.loop.run(again)
        assert finished.statistics.cached_tokens == len(held)
        assert ended.statistics.generated_tokens == 5
        assert said


def test_an_answer_that_fills_the_context_goes_on_where_memory_can_move(model):
    with load_weights(model, n_ctx=64) as engine:
        asked = request(engine, "the sky is blue", temperature=0, num_predict=150)
        asked = Request(tokens=asked.tokens, sampling=asked.sampling, overflow="shift")
        *pieces, finished = engine.loop.run(asked)
        moved = finished.statistics.shifted_tokens
        assert all(isinstance(piece, Delta) for piece in pieces)
        assert moved > 50 if finished.statistics.generated_tokens == 150 else moved == 0
        fresh = answer(engine, "not so old", num_predict=5)[0]
    with load_weights(model, n_ctx=64) as engine:
        assert answer(engine, "not so old", num_predict=5)[0] == fresh


def test_slots_answer_as_each_would_alone(model):
    texts = prompts()[:3]
    with load_weights(model, n_ctx=128, slots=3) as engine:
        said = {
            engine.loop.submit(request(engine, text, temperature=0, num_predict=8)): ""
            for text in texts
        }
        while engine.loop.busy:
            for number, event in engine.loop.step():
                said[number] += event.text if isinstance(event, Delta) else ""
    for text, together in zip(texts, said.values(), strict=True):
        with load_weights(model, n_ctx=128) as engine:
            assert answer(engine, text, num_predict=8)[0] == together


def likely(engine, text: str) -> list[float]:
    """Return how likely the model finds its next few tokens; finer than the tokens themselves."""
    tokens = request(engine, text).tokens
    short = Sampling(temperature=0, num_predict=6)
    *pieces, _ = engine.loop.run(Request(tokens=tokens, sampling=short, logprobs=True))
    return [entry.logprob for piece in pieces for entry in piece.logprobs]


@pytest.mark.parametrize("part", [0.2, 0.5, 0.75, 0.9, 0.99])
def test_what_a_window_has_let_go_of_is_computed_again(model, part):
    words = WORDS.split() * 30
    text = " ".join([*words[: int(part * len(words))], "so"])
    small = {"n_ctx": 1024, "n_batch": 16, "n_ubatch": 16}  # else the window is as good as none
    with load_weights(model, **small) as engine:
        likely(engine, " ".join(words))
        reused = likely(engine, text)
    with load_weights(model, **small) as fresh:
        assert likely(fresh, text) == pytest.approx(reused, abs=0.01)
