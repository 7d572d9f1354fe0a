from __future__ import annotations

import datetime

import pytest

from modelpack.errors import LimitError
from modelpack.modelfile.model import Message
from modelpack.runtime.conversation import PlainText, TooLongError, complete, fit
from modelpack.template.chat import ChatMessage


def said(*turns: str) -> list[ChatMessage]:
    roles = {"u": "user", "a": "assistant", "s": "system"}
    return [ChatMessage(role=roles[turn[0]], content=turn) for turn in turns]


def contents(messages) -> list[str]:
    return [message.content for message in messages]


def letters(messages) -> list[int]:
    return [ord(letter) for message in messages for letter in message.content]


def shown(tokens: list[int]) -> str:
    return "".join(map(chr, tokens))


def test_the_model_s_opening_comes_first():
    opening = (Message("user", "Hi"), Message("assistant", "Hello"))
    whole = complete(said("u1"), opening=opening, system="Be brief.")
    assert contents(whole) == ["Be brief.", "Hi", "Hello", "u1"]
    assert whole[0].role == "system"


def test_a_conversation_with_a_system_message_keeps_its_own():
    assert contents(complete(said("s1", "u1"), opening=(), system="Be brief.")) == ["s1", "u1"]


def test_without_a_system_prompt_none_is_made_up():
    assert contents(complete(said("u1"), opening=(), system=None)) == ["u1"]


def test_a_conversation_that_fits_stays_whole():
    assert shown(fit(said("s1", "u1", "a1", "u2"), letters, 9).tokens) == "s1u1a1u2"


def test_the_oldest_turns_make_room_and_the_system_prompt_stays():
    turns = said("s1", "u1", "a1", "u2", "a2", "u3")
    some, last = fit(turns, letters, 12), fit(turns, letters, 8)
    assert (shown(some.tokens), some.left_out) == ("s1u2a2u3", 2)
    assert (shown(last.tokens), last.left_out) == ("s1u3", 4)


def test_the_last_turn_stays_even_if_it_does_not_fit():
    last, only = fit(said("u1", "a1", "u2"), letters, 1), fit(said("u1"), letters, 1)
    assert (shown(last.tokens), last.left_out) == ("u2", 2)
    assert (shown(only.tokens), only.left_out) == ("u1", 0)


@pytest.mark.parametrize("error", [TooLongError, LimitError])
def test_a_long_history_is_not_turned_into_tokens_again_and_again(error):
    turns = said(*(f"{'ua'[n % 2]}{n:04}" for n in range(2001)))
    counted: list[int] = []

    def bounded(messages) -> list[int]:
        text = "".join(message.content for message in messages)
        if len(text) > 400:
            raise error("too long")
        counted.append(len(text))
        return list(map(ord, text))

    for room in (52, 101, 103, 399):
        counted.clear()
        best = shown(fit(turns, bounded, room).tokens)
        assert best.endswith("u2000")
        assert room - 10 <= len(best) < room
        assert sum(counted) < 15 * room
    with pytest.raises(error):
        fit(said("u" * 401), bounded, 100)
    with pytest.raises(error):
        fit(said("u1", "a1", "u" * 401), bounded, 100)


def test_a_model_without_a_template_reads_plain_text():
    text = PlainText().render(said("u1", "a1"), today=datetime.date(2026, 1, 1))
    assert text == "u1a1"
    assert not PlainText().uses("tools")
