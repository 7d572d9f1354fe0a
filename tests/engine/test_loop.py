from __future__ import annotations

import threading

import pytest
from engine.fakes import AlphabetDecoder, make_loop

from modelpack.engine.base import Delta, Finished, Request
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError


def ask(text: str, **sampling: object) -> Request:
    return Request(tokens=tuple(map(ord, text)), sampling=Sampling(**sampling))


def text_of(events) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.fixture
def decoder():
    made = AlphabetDecoder()
    yield made
    assert made.open_samplers == 0


def test_an_answer_ends_with_the_token_that_ends_it(decoder):
    *pieces, finished = make_loop(decoder).run(ask("uvw"))
    assert text_of(pieces) == "xyz"
    assert finished.reason == "stop"
    assert finished.statistics.prompt_tokens == 3
    assert finished.statistics.generated_tokens == 4


def test_an_answer_ends_after_num_predict_tokens(decoder):
    *pieces, finished = make_loop(decoder).run(ask("a", num_predict=3))
    assert text_of(pieces) == "bcd"
    assert (finished.reason, finished.statistics.generated_tokens) == ("length", 3)


def test_num_predict_zero_answers_nothing(decoder):
    assert [event.reason for event in make_loop(decoder).run(ask("a", num_predict=0))] == ["length"]


def test_an_answer_ends_before_a_stop_string_that_spans_tokens(decoder):
    *pieces, finished = make_loop(decoder).run(ask("a", stop=("fgh",)))
    assert (text_of(pieces), finished.reason) == ("bcde", "stop")


def test_a_piece_that_could_have_become_a_stop_string_is_not_lost(decoder):
    *pieces, _ = make_loop(decoder).run(ask("v", stop=("yzz",)))
    assert text_of(pieces) == "wxyz"


def test_an_answer_ends_when_the_context_is_full(decoder):
    *pieces, finished = make_loop(decoder, n_ctx=10).run(ask("abcdefg"))
    assert (text_of(pieces), finished.reason) == ("hijk", "length")
    assert len(decoder.memory[0]) == 10


def test_a_prompt_larger_than_the_context_is_refused_with_both_numbers(decoder):
    with pytest.raises(EngineError, match="1,200 tokens long and the context holds 1,000"):
        make_loop(decoder, n_ctx=1000).submit(ask("a" * 1200))


def test_an_empty_prompt_is_refused(decoder):
    with pytest.raises(EngineError, match="empty"):
        make_loop(decoder).submit(ask(""))


def test_a_long_prompt_is_computed_in_chunks(decoder):
    list(make_loop(decoder, n_ctx=2000).run(ask("a" * 1100 + "y")))
    assert [len(step[0].tokens) for step in decoder.steps[:3]] == [512, 512, 77]
    assert [step[0].output for step in decoder.steps[:3]] == [False, False, True]


def test_the_next_turn_computes_only_what_is_new(decoder):
    loop = make_loop(decoder)
    list(loop.run(ask("uvw")))
    *_, finished = loop.run(ask("uvwxyz and x"))
    assert finished.statistics.cached_tokens == 6


def test_the_same_prompt_again_computes_its_last_token_only(decoder):
    loop = make_loop(decoder)
    first = text_of(loop.run(ask("uvw")))
    *again, finished = loop.run(ask("uvw"))
    assert text_of(again) == first
    assert finished.statistics.cached_tokens == 2


def test_memory_that_cannot_be_cut_is_computed_anew(decoder):
    decoder.refuses_cuts = True
    loop = make_loop(decoder)
    list(loop.run(ask("uvw")))
    *pieces, finished = loop.run(ask("uvx"))
    assert finished.statistics.cached_tokens == 0
    assert text_of(pieces) == "yz"


def test_a_flag_ends_the_answer_within_one_step(decoder):
    loop, flag = make_loop(decoder), threading.Event()
    events = loop.run(ask("a"), flag)
    assert next(events) == Delta("b")
    flag.set()
    assert [type(event) for event in events] == [Finished]
    assert len(decoder.steps) == 1


def test_a_flag_ends_a_long_prompt_between_its_chunks(decoder):
    loop = make_loop(decoder, n_ctx=4000)
    number = loop.submit(ask("a" * 3000))
    assert loop.step() == []
    loop.cancel(number)
    [(owner, finished)] = loop.step()
    assert (owner, finished.reason) == (number, "cancelled")
    assert len(decoder.steps) == 1
    assert not loop.busy


def test_leaving_an_answer_frees_its_slot(decoder):
    loop = make_loop(decoder)
    events = loop.run(ask("a"))
    next(events)
    events.close()
    assert not loop.busy
    assert text_of(loop.run(ask("x"))) == "yz"


@pytest.mark.parametrize("failure", [KeyboardInterrupt(), EngineError("no")])
def test_the_loop_can_be_used_after_a_step_that_was_broken_off(decoder, failure):
    loop = make_loop(decoder)
    events = loop.run(ask("a"))
    next(events)
    decoder.fails_next = failure  # after the memory has changed
    with pytest.raises(type(failure)):
        next(events)
    *pieces, finished = loop.run(ask("abx"))
    assert text_of(pieces) == "yz"
    assert finished.statistics.cached_tokens <= 2


def test_what_is_forced_is_told_at_once_and_computed_together(decoder):
    decoder.forces = {"c": "defg"}
    *pieces, finished = make_loop(decoder).run(ask("a", num_predict=8))
    assert text_of(pieces) == "bcdefghi"
    assert finished.statistics.generated_tokens == 8
    assert [len(step[0].tokens) for step in decoder.steps] == [1, 1, 5, 1]
    assert all(step[0].output for step in decoder.steps)


@pytest.mark.parametrize(
    ("limits", "said", "reason"),
    [
        ({"num_predict": 4}, "bcde", "length"),
        ({"num_predict": 6}, "bcdefg", "length"),
        ({"stop": ("ef",)}, "bcd", "stop"),
    ],
)
def test_an_answer_may_end_within_what_is_forced(decoder, limits, said, reason):
    decoder.forces = {"c": "defghi"}
    *pieces, finished = make_loop(decoder).run(ask("a", **limits))
    assert (text_of(pieces), finished.reason) == (said, reason)


@pytest.mark.parametrize("n_ctx", range(4, 12))
def test_what_is_forced_never_exceeds_the_context(decoder, n_ctx):
    decoder.forces = {"c": "defghijk"}
    *pieces, finished = make_loop(decoder, n_ctx=n_ctx).run(ask("a"))
    *plain, ended = make_loop(AlphabetDecoder(), n_ctx=n_ctx).run(ask("a"))
    assert (text_of(pieces), finished.reason) == (text_of(plain), ended.reason)
    assert len(decoder.memory[0]) <= n_ctx


def test_what_is_forced_leaves_a_neighbours_steps_short(decoder):
    decoder.forces = {"b": "cdefghijklmnopqrstuvwxy"}
    loop = make_loop(decoder, slots=2)
    numbers = [loop.submit(ask(text)) for text in ("a", "b")]
    said = dict.fromkeys(numbers, "")
    while loop.busy:
        for number, event in loop.step():
            said[number] += event.text if isinstance(event, Delta) else "."
    assert list(said.values()) == ["bcdefghijklmnopqrstuvwxyz.", "cdefghijklmnopqrstuvwxyz."]
    assert max(sum(len(c.tokens) for c in step) for step in decoder.steps) < 20
    assert all({c.slot for c in step} == {0, 1} for step in decoder.steps[:3])


def test_slots_write_at_the_same_time_and_their_answers_stay_apart(decoder):
    loop = make_loop(decoder, slots=2)
    numbers = [loop.submit(ask(text)) for text in ("v", "tu", "x")]
    said = dict.fromkeys(numbers, "")
    while loop.busy:
        for number, event in loop.step():
            said[number] += event.text if isinstance(event, Delta) else "."
    assert list(said.values()) == ["wxyz.", "vwxyz.", "yz."]
    assert any(len(step) == 2 for step in decoder.steps)


def test_a_request_gets_the_slot_that_holds_most_of_its_prompt(decoder):
    loop = make_loop(decoder, slots=2)
    loop.submit(ask("hello wx"))
    loop.submit(ask("goodbye wx"))
    while loop.busy:
        loop.step()
    *_, finished = loop.run(ask("goodbye wxyz!x"))
    assert finished.statistics.cached_tokens == len("goodbye wxyz")


def test_times_are_those_of_the_clock(decoder):
    *_, finished = make_loop(decoder).run(ask("x"))
    took = finished.statistics
    assert took.prompt_s > 0
    assert took.generation_s > 0
    assert took.total_s >= took.prompt_s + took.generation_s


def test_a_short_prompt_is_read_whole_and_before_a_long_one():
    now = 0.0

    class Timed(AlphabetDecoder):
        def decode(self, chunks):
            nonlocal now
            now += 0.02 + 0.005 * sum(len(chunk.tokens) for chunk in chunks)
            return super().decode(chunks)

    decoder = Timed()
    loop = make_loop(decoder, n_ctx=2000, slots=3, clock=lambda: now)
    loop.submit(ask("a", num_predict=500, stop=("none",)))
    for _ in range(10):
        loop.step()
    loop.submit(ask("b" * 900))
    for _ in range(10):
        loop.step()
    loop.submit(ask("c" * 100, num_predict=1))
    loop.step()
    writes, short, long = (len(chunk.tokens) for chunk in decoder.steps[-1])
    assert (writes, short) == (1, 100)
    assert 0 < long < 30
