"""Text with log-probabilities waits for more of it, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterable

from engine.fakes import AlphabetDecoder, Letters

from modelpack.engine.base import Delta, Failed, Finished, Request
from modelpack.engine.loop import Bounds, Loop
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError

HOLD_S = 10.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_loop(decoder: AlphabetDecoder, clock: Clock, *, slots: int = 1) -> Loop:
    bounds = Bounds(n_ctx=100, n_batch=100, slots=slots, hold_s=HOLD_S)
    return Loop(decoder, Letters(), bounds, clock=clock)


def ask(text: str, *, logprobs: bool = True, **sampling: object) -> Request:
    tokens = tuple(map(ord, text))
    return Request(tokens=tokens, sampling=Sampling(**sampling), logprobs=logprobs, top_logprobs=2)


def pieces(events: Iterable[object]) -> list[tuple[str, str]]:
    """Return the text of each piece and of the tokens told with it."""
    return [
        (event.text, "".join(entry.text for entry in event.logprobs))
        for event in events
        if isinstance(event, Delta)
    ]


def test_the_first_piece_comes_at_once_and_the_rest_together():
    assert pieces(make_loop(AlphabetDecoder(), Clock()).run(ask("u"))) == [
        ("v", "v"),
        ("wxyz", "wxyz"),
    ]


def test_it_waits_no_longer_than_it_is_held():
    clock, decoder, told = Clock(), AlphabetDecoder(), []
    loop = make_loop(decoder, clock)
    loop.submit(ask("a", num_predict=10))
    while loop.busy:
        clock.now += HOLD_S / 4
        told += pieces(event for _, event in loop.step())
    assert told == [("b", "b"), ("cdef", "cdef"), ("ghij", "ghij"), ("k", "k")]


def test_with_slow_steps_each_token_comes_at_once():
    clock, decoder, told = Clock(), AlphabetDecoder(), []
    loop = make_loop(decoder, clock)
    loop.submit(ask("v"))
    while loop.busy:
        clock.now += HOLD_S
        told += pieces(event for _, event in loop.step())
    assert told == [("w", "w"), ("x", "x"), ("y", "y"), ("z", "z")]


def test_text_alone_does_not_wait():
    events = make_loop(AlphabetDecoder(), Clock()).run(ask("w", logprobs=False))
    assert pieces(events) == [("x", ""), ("y", ""), ("z", "")]


def test_a_stop_string_cuts_what_waits():
    events = make_loop(AlphabetDecoder(), Clock()).run(ask("a", stop=("gh",)))
    assert pieces(events) == [("b", "b"), ("cdef", "cdef")]


def step_until(loop: Loop, events: list[object], text: str) -> None:
    """Let *loop* write up to *text*, which waits."""
    while not loop._memory.busy or loop._memory.busy[0][1].last != ord(text):
        events += [event for _, event in loop.step()]


def test_who_cancels_has_what_was_written():
    loop, events = make_loop(AlphabetDecoder(), Clock()), []
    number = loop.submit(ask("a"))
    step_until(loop, events, "e")
    loop.cancel(number)
    events += [event for _, event in loop.step()]
    assert pieces(events) == [("b", "b"), ("cde", "cde")]
    assert isinstance(events[-1], Finished)


def test_what_was_written_before_a_failure_is_told():
    decoder, clock = AlphabetDecoder(), Clock()
    loop, events = make_loop(decoder, clock), []
    loop.submit(ask("a"))
    step_until(loop, events, "e")
    decoder.fails_next = EngineError("no power")
    events += [event for _, event in loop.step()]
    assert pieces(events) == [("b", "b"), ("cde", "cde")]
    assert isinstance(events[-1], Failed)


def test_who_gives_way_is_told_before():
    decoder, clock = AlphabetDecoder(), Clock()
    loop = make_loop(decoder, clock, slots=2)
    first, second = loop.submit(ask("a", num_predict=12)), loop.submit(ask("A", num_predict=12))
    told: dict[int, list[object]] = {first: [], second: []}
    while loop.busy:
        decoder.room = 12
        for number, event in loop.step():
            told[number].append(event)
    assert decoder.refused
    for number, text in ((first, "bcdefghijklm"), (second, "BCDEFGHIJKLM")):
        found = pieces(told[number])
        assert "".join(piece for piece, _ in found) == text
        assert all(piece == tokens for piece, tokens in found)
    assert len(pieces(told[second])) > 2  # it had to wait with something to tell
