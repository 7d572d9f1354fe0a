"""Answers beside others: in the same batch, in the same pool of memory, and cancelled."""

from __future__ import annotations

import threading

import pytest
from engine.made import write_llama
from engine.real import RAMBLE, asked, load_weights, request

from modelpack.engine.base import Delta, Finished, Request
from modelpack.engine.llamacpp import Engine
from modelpack.engine.sampling import Sampling

pytestmark = pytest.mark.model

LONG = "The capital of France is Paris and the weather is nice. " * 14


def run_all(engine: Engine, requests: list[Request]) -> list[tuple[str, str]]:
    """Return what each answer was and why it ended."""
    said = {engine.loop.submit(asked_for): "" for asked_for in requests}
    ends: dict[int, str] = {}
    while engine.loop.busy:
        for number, event in engine.loop.step():
            if isinstance(event, Delta):
                said[number] += event.text
            else:
                ends[number] = event.reason if isinstance(event, Finished) else str(event.error)
    return [(said[number], ends[number]) for number in said]


@pytest.mark.parametrize("prompt", ["The capital of", asked(), LONG, "My name is"])
@pytest.mark.parametrize("place", [0, 3])
def test_a_seed_gives_the_same_answer_whoever_else_is_answered(prompt, place):
    hot = {"temperature": 1.2, "num_predict": 40}
    for seed in range(3):
        with load_weights(slots=4, n_ctx=512) as engine:
            (alone,) = run_all(engine, [request(engine, prompt, seed=seed, **hot)])
        with load_weights(slots=4, n_ctx=512) as engine:
            others = [request(engine, "Hello there " * n, seed=n, **hot) for n in (1, 9, 20)]
            others.insert(place, request(engine, prompt, seed=seed, **hot))
            assert run_all(engine, others)[place] == alone


LENGTHS = ((0, 180), (30, 150), (60, 120), (9, 150), (3, 40), (100, 100))
"""Words of prompts and tokens of answers that together are more than a pool of 256 tokens."""


@pytest.mark.parametrize("pool", [256, 512])
def test_a_pool_that_is_too_small_for_all_changes_no_answer(pool):
    answers = []
    for size in (0, pool):
        with load_weights(n_ctx=256, slots=4, pool=size) as engine:
            outcomes, decode = [], engine.loop._decoder.decode
            engine.loop._decoder.decode = lambda c, o=outcomes, d=decode: o.append(d(c)) or o[-1]
            answers.append(
                run_all(
                    engine,
                    [
                        request(engine, RAMBLE + " a" * words, temperature=0, num_predict=count)
                        for words, count in LENGTHS
                    ],
                )
            )
            assert ("full" in outcomes) == bool(size)
    assert answers[0] == answers[1]


def test_a_prompt_being_computed_is_broken_off_within_its_step(tmp_path):
    path = write_llama(tmp_path / "model")
    with load_weights(path, n_ctx=1024) as engine:
        loop = engine.loop
        calm = Request(tokens=(5, 6, 7), sampling=Sampling(temperature=0, num_predict=5))
        before = run_all(engine, [calm])
        decode = loop._decoder.decode
        number = loop.submit(Request(tokens=tuple(range(1, 700))))
        threads: list[threading.Thread] = []

        def decode_while_cancelled(chunks):
            threads.append(threading.Thread(target=cancel_soon))
            threads[-1].start()
            return decode(chunks)

        def cancel_soon() -> None:
            loop.cancel(number)

        loop._decoder.decode = decode_while_cancelled
        events = loop.step() or loop.step()  # a fast machine may be done with the first
        loop._decoder.decode = decode
        for thread in threads:
            thread.join()
        assert [(owner, event.reason) for owner, event in events] == [(number, "cancelled")]
        assert run_all(engine, [calm]) == before


def test_an_aborted_step_says_so_and_memory_can_be_put_right(tmp_path):
    path = write_llama(tmp_path / "model", words=20_000)
    with load_weights(path, n_ctx=1024) as engine:
        loop, decoder = engine.loop, engine.loop._decoder
        calm = Request(tokens=(5, 6, 7), sampling=Sampling(temperature=0, num_predict=5))
        before = run_all(engine, [calm])
        decoder.abort()
        number = loop.submit(calm)
        assert loop.step() == []
        assert loop.busy
        said = "".join(e.text for _, e in events_of(loop) if isinstance(e, Delta))
        assert [said] == [text for text, _ in before]
        assert number > 0


def events_of(loop):
    while loop.busy:
        yield from loop.step()
