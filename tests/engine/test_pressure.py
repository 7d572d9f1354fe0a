from __future__ import annotations

import threading

import pytest
from engine.fakes import AlphabetDecoder, make_loop

from modelpack.engine.base import Delta, Failed, Finished, Request
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError


def ask(text: str, *, overflow: str = "length", truncate: bool = False, **sampling) -> Request:
    return Request(
        tokens=tuple(map(ord, text)),
        sampling=Sampling(**sampling),
        overflow=overflow,
        truncate=truncate,
    )


def run_all(loop, *requests: Request) -> dict[int, str]:
    """Return what each answer was; `.` stands for its end and `!` for failure."""
    said = {loop.submit(request): "" for request in requests}
    signs = {Finished: ".", Failed: "!"}
    while loop.busy:
        for number, event in loop.step():
            said[number] += event.text if isinstance(event, Delta) else signs[type(event)]
    return said


@pytest.fixture
def decoder():
    made = AlphabetDecoder()
    yield made
    assert made.open_samplers == 0


def test_an_answer_that_fills_the_context_can_go_on(decoder):
    *pieces, finished = make_loop(decoder, n_ctx=10).run(ask("abcdefg", overflow="shift"))
    assert "".join(piece.text for piece in pieces) == "hijklmnopqrstuvwxyz"
    assert finished.reason == "stop"
    assert finished.statistics.shifted_tokens == 18
    assert "".join(map(chr, decoder.memory[0][:4])) == "abcd"


def test_memory_that_cannot_be_moved_ends_the_answer(decoder):
    decoder.refuses_shifts = True
    *_, finished = make_loop(decoder, n_ctx=10).run(ask("abcdefg", overflow="shift"))
    assert (finished.reason, finished.statistics.shifted_tokens) == ("length", 0)


def test_an_answer_without_end_ends_after_ten_contexts(decoder, monkeypatch):
    monkeypatch.setattr(AlphabetDecoder, "after", lambda *_: ord("o"))
    *_, finished = make_loop(decoder, n_ctx=20).run(ask("abc", overflow="shift"))
    assert (finished.reason, finished.statistics.generated_tokens) == ("length", 200)


def test_what_is_left_after_a_shift_is_good_for_no_other_prompt(decoder):
    loop = make_loop(decoder, n_ctx=10)
    list(loop.run(ask("abcdefg", overflow="shift", num_predict=8)))
    held = "".join(map(chr, decoder.memory[0]))
    assert len(held) > 4
    *_, finished = loop.run(ask(held))
    assert finished.statistics.cached_tokens == 4


def test_a_long_prompt_is_cut_if_that_is_asked_for_and_it_is_told(decoder):
    *pieces, finished = make_loop(decoder, n_ctx=20).run(
        ask("abcd" + "-" * 90 + "x", truncate=True)
    )
    assert "".join(piece.text for piece in pieces) == "yz"
    assert finished.statistics.truncated_tokens == 80
    assert finished.statistics.prompt_tokens == 15


def test_what_idle_slots_hold_goes_before_anybody_waits(decoder):
    loop = make_loop(decoder, slots=3)
    run_all(loop, ask("-" * 30 + "x"), ask("+" * 20 + "x"))
    decoder.room = 50
    assert list(run_all(loop, ask("." * 45 + "x")).values()) == ["yz."]
    assert len(decoder.memory[0]) + len(decoder.memory[1]) == 0


def test_the_youngest_waits_and_its_text_goes_on_where_it_was(decoder):
    decoder.room = 60
    loop = make_loop(decoder, slots=3)
    said = run_all(loop, ask("---a"), ask("+++b"), ask("...c"))
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    assert list(said.values()) == [f"{alphabet[first:]}." for first in (1, 2, 3)]
    starts = [chunk for step in decoder.steps for chunk in step if chunk.start == 0]
    assert len(starts) > 3  # somebody was computed again, with all that came before
    for chunk in starts:
        assert "".join(map(chr, chunk.tokens[:4])) in ("---a", "+++b", "...c")


def test_nobody_begins_until_somebody_ends_when_memory_is_scarce(decoder):
    decoder.room = 60
    loop = make_loop(decoder, slots=3)
    run_all(loop, *(ask(sign * 20 + "m") for sign in "-+.*"))
    assert 0 < decoder.refused < 6


def test_when_somebody_has_ended_others_begin_together_again(decoder):
    decoder.room = 60
    loop = make_loop(decoder, slots=3)
    run_all(loop, *(ask(sign * 20 + "m") for sign in "-+."))
    decoder.room = 1000
    decoder.steps.clear()
    run_all(loop, ask("s"), ask("t"), ask("u"))
    assert len(decoder.steps) == len("tuvwxyz") + 1


def test_one_that_does_not_fit_even_alone_fails_alone(decoder):
    decoder.room = 40
    loop = make_loop(decoder, slots=2)
    said = run_all(loop, ask("x"), ask("-" * 60 + "x"), ask("w"))
    assert list(said.values()) == ["yz.", "!", "xyz."]


def test_an_error_fails_those_in_the_step_and_no_others(decoder):
    loop = make_loop(decoder, slots=2)
    numbers = [loop.submit(ask(text)) for text in ("a", "b", "x")]
    loop.step()
    decoder.fails_next = EngineError("broken")
    events = loop.step()
    assert events == [(number, Failed(decoder_error(events))) for number in numbers[:2]]
    assert str(decoder_error(events)) == "broken"
    rest = [event for _ in range(4) for event in loop.step()]
    assert {number for number, _ in rest} == {numbers[2]}
    assert not loop.busy


def decoder_error(events) -> EngineError:
    return events[0][1].error


def test_a_token_that_cannot_be_chosen_fails_its_own_answer(decoder, monkeypatch):
    loop = make_loop(decoder, slots=2)
    after = decoder.after
    stuck = ord("m")

    def choose(row: int) -> int:
        if after(row) == stuck:
            raise EngineError("no token is allowed")
        return after(row)

    monkeypatch.setattr(decoder, "after", choose)
    assert list(run_all(loop, ask("k"), ask("u")).values()) == ["l!", "vwxyz."]


def test_an_interrupt_between_two_tokens_loses_no_other_answer(decoder, monkeypatch):
    loop = make_loop(decoder, slots=2)
    numbers = [loop.submit(ask(text)) for text in ("a", "u")]
    loop.step()
    after, broken = decoder.after, [KeyboardInterrupt()]

    def choose(row: int) -> int:
        if broken:
            raise broken.pop()
        return after(row)

    monkeypatch.setattr(decoder, "after", choose)
    with pytest.raises(KeyboardInterrupt):
        loop.step()
    loop.cancel(numbers[0])
    said = "".join(e.text for o, e in iter_events(loop) if o == numbers[1] and hasattr(e, "text"))
    assert said == "wxyz"


def test_a_prompt_is_broken_off_when_it_is_cancelled_from_elsewhere(decoder):
    loop = make_loop(decoder, n_ctx=4000, slots=2)
    other = loop.submit(ask("a"))
    loop.step()
    number = loop.submit(ask("a" * 3000))
    decoder.during = lambda: loop.cancel(number)
    told = loop.step()
    assert [(owner, event.reason) for owner, event in told] == [(number, "cancelled")]
    assert decoder.aborted == 1
    said = "".join(e.text for o, e in iter_events(loop) if o == other and isinstance(e, Delta))
    assert said == "cdefghijklmnopqrstuvwxyz"


def iter_events(loop):
    while loop.busy:
        yield from loop.step()


def test_a_step_broken_off_costs_others_no_more_than_time_where_memory_cannot_be_cut(decoder):
    loop = make_loop(decoder, n_ctx=4000, slots=2)
    other = loop.submit(ask("a"))
    loop.step()
    number = loop.submit(ask("a" * 3000))
    decoder.during = lambda: loop.cancel(number)
    decoder.refuses_cuts = True
    loop.step()
    said = "".join(e.text for o, e in iter_events(loop) if o == other and isinstance(e, Delta))
    assert said == "cdefghijklmnopqrstuvwxyz"


def test_an_answer_that_is_cancelled_breaks_no_step_off(decoder):
    loop = make_loop(decoder)
    number = loop.submit(ask("a"))
    loop.step()
    decoder.during = lambda: loop.cancel(number)
    loop.step()
    assert decoder.aborted == 0
    assert [event.reason for _, event in loop.step()] == ["cancelled"]


def test_cancelling_from_many_threads_is_safe(decoder):
    loop = make_loop(decoder, slots=4)
    numbers = [loop.submit(ask("a", num_predict=50)) for _ in range(40)]
    threads = [threading.Thread(target=loop.cancel, args=(n,)) for n in numbers]
    for thread in threads:
        thread.start()
    ends = [event.reason for _, event in iter_events(loop) if isinstance(event, Finished)]
    for thread in threads:
        thread.join()
    assert len(ends) == 40
