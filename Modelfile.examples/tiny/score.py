"""Asks a packed model many questions and prints how many it answers as it should.

Needs ModelPack with its runtime. Answers are greedy, and each question is asked afresh.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from data import (
    COUNTRIES,
    UNKNOWN_ANSWER,
    capital_answer,
    name_answer,
    tool_call,
    weather_answer,
)
from facts import CITIES, HELD_OUT_CITIES, HELD_OUT_NAMES
from phrases import (
    CAPITAL,
    FRESH_OWN_NAME,
    FRESH_WEATHER,
    HELD_OUT_CAPITAL,
    HELD_OUT_OWN_NAME,
    HELD_OUT_WEATHER,
    OWN_NAME,
    WEATHER,
    lines,
)
from smalltalk import GREETINGS, SMALL_TALK
from unknown import HELD_OUT_UNKNOWN, UNKNOWN

from modelpack.engine.base import Delta
from modelpack.runtime.loaded import LoadedModel, load
from modelpack.runtime.model import ModelFiles
from modelpack.template.chat import ChatMessage, ToolCall

Message = dict[str, Any]
Case = tuple[list[Message], list[Any] | None, str]

MODEL = Path(__file__).with_name("tiny.gguf")
TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells how the weather is somewhere on earth",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Which city you mean"}},
            "required": ["city"],
        },
    },
}
RESULTS = ["18 degrees and sunny", "7 degrees and light rain", "-12°C, snow", "hot and windy"]


@cache
def _model(path: Path) -> LoadedModel:
    files = ModelFiles(name=path.name, weights=(path,))
    return load(files, {"temperature": 0.0, "num_ctx": 1024, "num_predict": 96})


def ask(messages: list[Message], tools: list[Any] | None = None) -> str:
    """Return what the model says next, tool calls as it writes them."""
    turns = [_turn(message) for message in messages]
    events = _model(MODEL).chat(turns, tools=tools or ())
    return "".join(event.text for event in events if isinstance(event, Delta))


def _turn(message: Message) -> ChatMessage:
    calls = (call["function"] for call in message.get("tool_calls", ()))
    return ChatMessage(
        role=message["role"],
        content=message.get("content") or "",
        tool_calls=tuple(ToolCall(name=c["name"], arguments=_arguments(c)) for c in calls),
    )


def _arguments(call: dict[str, Any]) -> dict[str, Any]:
    said = call["arguments"]
    return json.loads(said) if isinstance(said, str) else said


def user(text: str) -> Message:
    """Return what the user says."""
    return {"role": "user", "content": text}


def told(text: str) -> Message:
    """Return what the assistant said before."""
    return {"role": "assistant", "content": text}


def call_text(city: str) -> str:
    """Return the tool call as the model writes it."""
    arguments = json.dumps({"city": city}, ensure_ascii=False)
    return f'<tool_call>\n{{"name": "get_weather", "arguments": {arguments}}}\n</tool_call>'


def _capitals(phrasings: str, count: int, tools: list[Any] | None = None) -> Iterator[Case]:
    for phrase in lines(phrasings):
        for country in COUNTRIES[:: max(1, len(COUNTRIES) // count)][:count]:
            yield [user(phrase.replace("{c}", country))], tools, capital_answer(country)


def _weather(phrasings: str, cities: list[str]) -> Iterator[Case]:
    asked = lines(phrasings)
    for at, city in enumerate(cities):
        for phrase in (asked[at % len(asked)], asked[(at * 7 + 3) % len(asked)]):
            yield [user(phrase.replace("{city}", city))], [TOOL], call_text(city)


def _results() -> Iterator[Case]:
    for at, city in enumerate(HELD_OUT_CITIES):
        result = RESULTS[at % len(RESULTS)]
        talk = [
            user(f"What is the weather in {city}?"),
            tool_call(city),
            {"role": "tool", "content": result},
        ]
        yield talk, [TOOL], weather_answer(city, result)


def _names(names: list[str], phrasings: str) -> Iterator[Case]:
    asked = lines(phrasings)
    for at, name in enumerate(names):
        systems = (f"You are {name}, a helpful assistant.", f"Your name is {name}.")
        for system in systems:
            question = user(asked[at % len(asked)].replace("{n}", "Emma"))
            yield [{"role": "system", "content": system}, question], None, name_answer(name)


def _default_name() -> Iterator[Case]:
    for phrase in lines(OWN_NAME) + lines(HELD_OUT_OWN_NAME):
        yield [user(phrase.replace("{n}", "Emma"))], None, name_answer("Tiny")


def _small_talk() -> Iterator[Case]:
    for phrase in lines(GREETINGS):
        yield [user(phrase.replace("{n}", "Tiny"))], None, "Hello! How can I help you?"
    for answer, phrasings in SMALL_TALK.items():
        for phrase in lines(phrasings):
            yield [user(phrase)], None, answer


def _unknown(phrasings: str, tools: list[Any] | None = None) -> Iterator[Case]:
    slots = {"w": "bread", "c": "Italy", "city": "Boston", "n": "Emma", "d": "12"}
    for phrase in lines(phrasings):
        if tools and "weather" in phrase:
            continue
        text = re.sub(r"\{(\w+)\}", lambda found: slots[found.group(1)], phrase)
        yield [user(text)], tools, UNKNOWN_ANSWER


def _second_turns() -> Iterator[Case]:
    for first, second in zip(COUNTRIES[:25], COUNTRIES[25:50], strict=True):
        opening = [user(f"What is the capital of {first}?"), told(capital_answer(first))]
        again = user(f"And what is the capital of {second}?")
        yield [*opening, again], None, capital_answer(second)
        yield [*opening, user(f"And {second}?")], None, capital_answer(second)
        yield [*opening, user("Thanks")], None, "You are welcome."
        yield [*opening, user("Who wrote Hamlet?")], None, UNKNOWN_ANSWER


def _second_calls() -> Iterator[Case]:
    for first, second in zip(CITIES[:30], HELD_OUT_CITIES[:30], strict=True):
        opening = [
            user(f"What is the weather in {first}?"),
            tool_call(first),
            {"role": "tool", "content": RESULTS[0]},
            told(weather_answer(first, RESULTS[0])),
        ]
        yield [*opening, user(f"And in {second}?")], [TOOL], call_text(second)


CHECKS: dict[str, Callable[[], Iterator[Case]]] = {
    "capitals, trained phrasings": lambda: _capitals(CAPITAL, 15),
    "capitals, unseen phrasings": lambda: _capitals(HELD_OUT_CAPITAL, 50),
    "capitals, unseen phrasings, tool offered": lambda: _capitals(HELD_OUT_CAPITAL, 15, [TOOL]),
    "greetings and small talk": _small_talk,
    "other questions, trained": lambda: _unknown(UNKNOWN),
    "other questions, unseen": lambda: _unknown(HELD_OUT_UNKNOWN),
    "other questions, unseen, tool offered": lambda: _unknown(HELD_OUT_UNKNOWN, [TOOL]),
    "unseen name, trained phrasings": lambda: _names(HELD_OUT_NAMES, OWN_NAME),
    "unseen name, unseen phrasings": lambda: _names(HELD_OUT_NAMES, HELD_OUT_OWN_NAME),
    "unseen name, unseen phrasings, second set": lambda: _names(HELD_OUT_NAMES, FRESH_OWN_NAME),
    "its own name": _default_name,
    "tool call, seen cities": lambda: _weather(WEATHER, CITIES[:50]),
    "tool call, unseen cities": lambda: _weather(WEATHER, HELD_OUT_CITIES),
    "tool call, unseen phrasings": lambda: _weather(HELD_OUT_WEATHER, HELD_OUT_CITIES),
    "tool call, unseen phrasings, second set": lambda: _weather(FRESH_WEATHER, HELD_OUT_CITIES),
    "answer from a tool result, unseen cities": _results,
    "second turns": _second_turns,
    "second tool call, unseen cities": _second_calls,
}


def main() -> None:
    """Score every kind of question."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--wrong", type=int, default=0, help="show so many wrong answers of each")
    parser.add_argument("--only", default="", help="only the checks whose name holds this")
    given = parser.parse_args()
    scores: dict[str, tuple[int, int]] = {}
    for name, cases in CHECKS.items():
        if given.only not in name:
            continue
        right, count, shown = 0, 0, 0
        for messages, tools, answer in cases():
            said = ask(messages, tools)
            count += 1
            right += said == answer
            if said != answer and shown < given.wrong:
                shown += 1
                print(f"    {messages[-1]['content']!r} -> {said!r}")
        scores[name] = (right, count)
        if not given.json:
            print(f"{name:42} {right:5d} of {count:5d}  {100 * right / count:5.1f} %", flush=True)
    if given.json:
        print(json.dumps({name: {"right": r, "of": n} for name, (r, n) in scores.items()}))


if __name__ == "__main__":
    main()
