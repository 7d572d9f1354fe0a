"""Which requests of a worker begin beside others, and that they do."""

from __future__ import annotations

import threading

import pytest

from modelpack.runtime.ask import Ask, AskScores, AskText, AskTokens, AskVectors
from modelpack.runtime.worker.aside import LONG, Aside, is_long, is_slow
from modelpack.template.chat import ChatMessage

MUCH, LITTLE = "x" * (LONG + 1), "x" * LONG


def said(text: str, **more: object) -> tuple[ChatMessage, ...]:
    return (ChatMessage(role="user", content=text, **more),)


@pytest.mark.parametrize(
    "wish",
    [
        Ask(messages=said("What is it?", images=(b"1",))),
        Ask(messages=said("x"), format="json"),
        Ask(messages=said("x"), tool_choice="required"),
        Ask(messages=said("x"), template="{{ .Prompt }}"),
        AskTokens(messages=said("x"), template="{{ .Prompt }}"),
    ],
)
def test_what_takes_long_to_begin(wish):
    assert is_slow(wish)
    assert not is_long(wish)


@pytest.mark.parametrize(
    "make",
    [
        lambda text: Ask(raw=text),
        lambda text: Ask(messages=(*said(text[1:]), *said(text[:1]))),
        lambda text: AskTokens(raw=text),
        lambda text: AskVectors(texts=(text[1:], text[:1])),
        lambda text: AskScores(query=text[1:], documents=(text[:1],)),
    ],
)
def test_what_takes_long_to_read(make):
    assert is_long(make(MUCH))
    assert not is_long(make(LITTLE))
    assert not is_slow(make(MUCH))


def test_tokens_and_nonsense_are_neither():
    for wish in (AskText(tokens=(1,) * LONG * 2), Ask(raw=7)):
        assert not is_slow(wish)
        assert not is_long(wish)


@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_begin_together_as_there_are_threads(threads):
    begun, go_on, most = threading.Semaphore(0), threading.Event(), []
    running: set[int] = set()

    def begin(wish: Ask, wanted: object) -> None:
        running.add(wish.number)
        most.append(len(running))
        begun.release()
        assert go_on.wait(30)
        running.discard(wish.number)

    aside = Aside(begin, threads=threads)
    for number in range(6):
        aside.put(Ask(number=number))
    for _ in range(threads):
        assert begun.acquire(timeout=30)
    go_on.set()
    for _ in range(6 - threads):
        assert begun.acquire(timeout=30)
    assert max(most) == threads


def test_who_gave_up_while_waiting_does_not_begin():
    begun: list[int] = []
    busy, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def begin(wish: Ask, wanted: object) -> None:
        begun.append(wish.number)
        busy.set()
        assert go_on.wait(30)
        if wish.number == 3:
            done.set()

    aside = Aside(begin, threads=1)
    for number in (1, 2, 3):
        aside.put(Ask(number=number))
    assert busy.wait(30)
    assert aside.cancel(2)
    assert not aside.cancel(2)
    go_on.set()
    assert done.wait(30)
    assert begun == [1, 3]
