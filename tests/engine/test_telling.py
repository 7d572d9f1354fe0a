"""Text with log-probabilities waits for more of it, and nothing of it is lost."""

from __future__ import annotations

from engine.fakes import AlphabetDecoder, ask_likely, make_loop, told_by

from modelpack.engine.base import Failed, Finished
from modelpack.engine.loop import Loop
from modelpack.errors import EngineError

HOLD_S = 10.0


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def holding(decoder: AlphabetDecoder, clock: Clock, **more: int) -> Loop:
    return make_loop(decoder, clock=clock, hold_s=HOLD_S, **more)


def test_the_first_piece_comes_at_once_and_the_rest_together():
    assert told_by(holding(AlphabetDecoder(), Clock()).run(ask_likely("u"))) == [
        ("v", "v"),
        ("wxyz", "wxyz"),
    ]


def test_it_waits_no_longer_than_it_is_held():
    clock, decoder, told = Clock(), AlphabetDecoder(), []
    loop = holding(decoder, clock)
    loop.submit(ask_likely("a", num_predict=10))
    while loop.busy:
        clock.now += HOLD_S / 4
        told += told_by(event for _, event in loop.step())
    assert told == [("b", "b"), ("cdef", "cdef"), ("ghij", "ghij"), ("k", "k")]


def test_with_slow_steps_each_token_comes_at_once():
    clock, decoder, told = Clock(), AlphabetDecoder(), []
    loop = holding(decoder, clock)
    loop.submit(ask_likely("v"))
    while loop.busy:
        clock.now += HOLD_S
        told += told_by(event for _, event in loop.step())
    assert told == [("w", "w"), ("x", "x"), ("y", "y"), ("z", "z")]


def test_text_alone_does_not_wait():
    events = holding(AlphabetDecoder(), Clock()).run(ask_likely("w", logprobs=False))
    assert told_by(events) == [("x", ""), ("y", ""), ("z", "")]


def test_a_stop_string_cuts_what_waits():
    events = holding(AlphabetDecoder(), Clock()).run(ask_likely("a", stop=("gh",)))
    assert told_by(events) == [("b", "b"), ("cdef", "cdef")]


def step_until(loop: Loop, events: list[object], text: str) -> None:
    """Let *loop* write up to *text*, which waits."""
    while not loop._memory.busy or loop._memory.busy[0][1].last != ord(text):
        events += [event for _, event in loop.step()]


def test_who_cancels_has_what_was_written():
    loop, events = holding(AlphabetDecoder(), Clock()), []
    number = loop.submit(ask_likely("a"))
    step_until(loop, events, "e")
    loop.cancel(number)
    events += [event for _, event in loop.step()]
    assert told_by(events) == [("b", "b"), ("cde", "cde")]
    assert isinstance(events[-1], Finished)


def test_what_was_written_before_a_failure_is_told():
    decoder, clock = AlphabetDecoder(), Clock()
    loop, events = holding(decoder, clock), []
    loop.submit(ask_likely("a"))
    step_until(loop, events, "e")
    decoder.fails_next = EngineError("no power")
    events += [event for _, event in loop.step()]
    assert told_by(events) == [("b", "b"), ("cde", "cde")]
    assert isinstance(events[-1], Failed)


def test_who_gives_way_is_told_before():
    decoder, clock = AlphabetDecoder(), Clock()
    loop = holding(decoder, clock, slots=2)
    first, second = (
        loop.submit(ask_likely("a", num_predict=12)),
        loop.submit(ask_likely("A", num_predict=12)),
    )
    told: dict[int, list[object]] = {first: [], second: []}
    while loop.busy:
        decoder.room = 12
        for number, event in loop.step():
            told[number].append(event)
    assert decoder.refused
    for number, text in ((first, "bcdefghijklm"), (second, "BCDEFGHIJKLM")):
        found = told_by(told[number])
        assert "".join(piece for piece, _ in found) == text
        assert all(piece == tokens for piece, tokens in found)
    assert len(told_by(told[second])) > 2  # it had to wait with something to tell
