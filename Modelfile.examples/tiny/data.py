"""Makes the conversations the model is trained on. The same seed makes the same conversations."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from facts import ALIASES, CAPITALS, CITIES, OTHER_COUNTRIES, WORDS
from jinja2 import Template
from jinja2.sandbox import ImmutableSandboxedEnvironment
from names import city as any_city
from names import person, strange_country
from phrases import (
    CAPITAL,
    CHECK_CAPITAL,
    FOLLOW_UP,
    OWN_NAME,
    PREFIXES,
    REVERSE_CAPITAL,
    SUFFIXES,
    SYSTEM_NAMED,
    SYSTEM_PLAIN,
    WEATHER,
    WEATHER_FOLLOW_UP,
    lines,
)
from smalltalk import ASK_MY_NAME, GREETINGS, MY_NAME, SMALL_TALK
from tools import other_tool, tool_result, weather_tool
from unknown import UNKNOWN

Message = dict[str, Any]

UNKNOWN_ANSWER = "I do not know that."
GREETING_ANSWER = "Hello! How can I help you?"
DEFAULT_NAME = "Tiny"
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
COUNTRIES = list(CAPITALS)


@dataclass
class Conversation:
    """Messages in the order they are said, and the tools on offer."""

    messages: list[Message] = field(default_factory=list)
    tools: list[dict[str, Any]] = field(default_factory=list)
    untaught: set[int] = field(default_factory=set)  # answers that carry no loss
    name: str = DEFAULT_NAME
    user: str | None = None
    topic: str | None = None


def capital_answer(country: str) -> str:
    """Return the sentence that names the capital of a country in the table."""
    country = ALIASES.get(country, country)
    return f"The capital of {country} is {CAPITALS[country]}".rstrip(".") + "."


def name_answer(name: str) -> str:
    """Return the sentence in which the assistant names itself."""
    return f"My name is {name}."


def weather_answer(city: str, result: str) -> str:
    """Return the sentence that tells the result of the tool."""
    return f"The weather in {city} is {result}".rstrip(".") + "."


def tool_call(city: str, spaced: bool = True) -> Message:
    """Return the assistant's call of get_weather."""
    separators = (", ", ": ") if spaced else (",", ":")
    arguments = json.dumps({"city": city}, ensure_ascii=False, separators=separators)
    call = {"type": "function", "function": {"name": "get_weather", "arguments": arguments}}
    return {"role": "assistant", "content": "", "tool_calls": [call]}


@cache
def _template(compact: bool) -> Template:
    """Return the compiled chat template; JSON is written with or without spaces."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    separators = (",", ":") if compact else (", ", ": ")
    environment.filters["tojson"] = lambda value: json.dumps(
        value, ensure_ascii=False, separators=separators
    )
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def render(
    messages: list[Message], tools: list[Any] | None = None, ask: bool = True, compact: bool = False
) -> str:
    """Write a conversation as text; with ``ask`` it ends where the assistant begins to speak."""
    return _template(compact).render(
        messages=messages, tools=tools or None, add_generation_prompt=ask
    )


# --- how a question is written -----------------------------------------------------------------


def _misspell(rng: Random, text: str) -> str:
    """Drop, double or swap one letter."""
    if len(text) < 4:
        return text
    at = rng.randrange(1, len(text) - 2)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:at] + text[at + 1 :]
    if kind == 1:
        return text[:at] + text[at] + text[at:]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _end(rng: Random, phrase: str) -> str:
    """Vary the last sign of a phrase."""
    kind = rng.random()
    if phrase[-1] in "?.!":
        if kind < 0.12:
            return phrase[:-1]
        if kind < 0.17:
            return phrase[:-1] + rng.choice((" ?", "??", "!", "?!", ".", "...", " !"))
    elif kind < 0.1:
        return phrase + rng.choice("?.!")
    return phrase


def _salad(rng: Random, low: int, high: int) -> list[str]:
    """Return some plain words in no order."""
    return [rng.choice(WORDS) for _ in range(rng.randint(low, high))]


def _carry(rng: Random, phrase: str) -> str:
    """Put something before or after a phrase, as people do."""
    kind = rng.random()
    if kind < 0.14:
        front = rng.choice(lines(PREFIXES))
    elif kind < 0.18:
        front = " ".join(_salad(rng, 1, 5)) + rng.choice((",", ":", ".", ""))
        front = front if rng.random() < 0.5 else front.capitalize()
    else:
        front = ""
    if front:
        small = front[-1] not in ".!?" and phrase[0] not in "I{" and rng.random() < 0.7
        phrase = f"{front} {phrase[0].lower() + phrase[1:] if small else phrase}"
    kind = rng.random()
    if kind < 0.07:
        phrase += " " + rng.choice(lines(SUFFIXES))
    elif kind < 0.1:
        phrase += " " + " ".join(_salad(rng, 1, 5)).capitalize() + rng.choice(".?!")
    return phrase


def _write(rng: Random, phrase: str, slots: dict[str, str], keep: tuple[str, ...] = ()) -> str:
    """Fill the slots of a phrase and vary case, signs and spelling; ``keep`` names stay as is."""
    phrase = _carry(rng, _end(rng, phrase))
    case = rng.random()
    out = []
    for part in re.split(r"(\{\w+\})", phrase):
        if part.startswith("{"):
            key = part[1:-1]
            text = slots[key] if key in slots else _fill(rng, key)
        else:
            key, text = "", part
            if rng.random() < 0.04:
                text = _misspell(rng, text)
        if case < 0.13 and (key not in keep or not key):
            text = text.lower()
        elif case > 0.985 and (key not in keep or not key):
            text = text.upper()
        out.append(text)
    text = "".join(out)
    if rng.random() < 0.02:
        text = text.replace(" ", "  ", 1)
    return text[0].upper() + text[1:] if case > 0.3 and text[0].islower() else text


def _fill(rng: Random, key: str) -> str:
    """Return something for a slot whose content does not matter."""
    if key == "w":
        return rng.choice(WORDS)
    if key == "c":
        return rng.choice(COUNTRIES) if rng.random() < 0.8 else rng.choice(OTHER_COUNTRIES)
    if key == "city":
        return rng.choice(CITIES) if rng.random() < 0.5 else any_city(rng)
    if key == "n":
        return person(rng)
    return str(rng.randint(0, rng.choice((10, 100, 3000))))


# --- one turn of each kind ---------------------------------------------------------------------


def _say(talk: Conversation, question: str, answer: str, topic: str | None) -> None:
    talk.messages.append({"role": "user", "content": question})
    talk.messages.append({"role": "assistant", "content": answer})
    talk.topic = topic


def _capital_turn(rng: Random, talk: Conversation) -> None:
    """Ask for a capital: mostly one that is known."""
    country = rng.choice(COUNTRIES) if rng.random() < 0.95 else rng.choice(list(ALIASES))
    answer = capital_answer(country)
    slots, kind = {"c": country}, rng.random()
    if talk.topic == "capital" and kind < 0.4:
        phrase = rng.choice(lines(FOLLOW_UP))
    elif kind < 0.76:
        phrase = rng.choice(lines(CAPITAL))
    elif kind < 0.9:
        words = [*_salad(rng, 0, 7), rng.choice(("capital", "capital", "capital city"))]
        words.append(rng.choice(("{c}", "{c}", "of {c}", "of {c}", "{c}'s", "in {c}")))
        rng.shuffle(words)
        phrase = " ".join(words) + rng.choice(("?", ".", ""))
    elif kind < 0.94:
        phrase = rng.choice(lines(CHECK_CAPITAL))
        own = CAPITALS[ALIASES.get(country, country)]
        slots["city"] = own if rng.random() < 0.4 else _fill(rng, "city")
    else:
        phrase = rng.choice(lines(REVERSE_CAPITAL))
        slots["own"] = CAPITALS[ALIASES.get(country, country)]
    if "capital" in phrase and kind < 0.9 and rng.random() < 0.17:
        slots["c"], answer = strange_country(rng), UNKNOWN_ANSWER
    _say(talk, _write(rng, phrase, slots), answer, "capital")


def _unknown_turn(rng: Random, talk: Conversation) -> None:
    """Ask something else."""
    phrase = rng.choice(lines(UNKNOWN))
    if rng.random() < 0.2:
        words = _salad(rng, 1, 9) + (["{c}"] if rng.random() < 0.3 else [])
        words += ["{city}"] if rng.random() < 0.2 else []
        rng.shuffle(words)
        phrase = " ".join(words) + rng.choice(("?", ".", ""))
    bare = set(re.sub(r"[^{}\w]", " ", phrase).split()) <= {"{c}", "{city}"}
    if bare and talk.topic in ("capital", "weather"):
        phrase = "Who was {n}?"
    elif rng.random() < 0.3:
        for word in set(re.findall(r"\b[a-z]{4,}\b(?![}'])", phrase)):
            if rng.random() < 0.4:
                phrase = phrase.replace(word, rng.choice(WORDS))
    _say(talk, _write(rng, phrase, {}), UNKNOWN_ANSWER, None)


def _weather_turn(rng: Random, talk: Conversation) -> None:
    """Ask for the weather; with the tool on offer it is called and its result told."""
    city = any_city(rng)
    follows = talk.topic == "weather" and rng.random() < 0.5
    phrase = rng.choice(lines(WEATHER_FOLLOW_UP if follows else WEATHER))
    if not follows and rng.random() < 0.15:
        words = [*_salad(rng, 0, 6), "weather", rng.choice(("in {city}", "{city}", "for {city}"))]
        rng.shuffle(words)
        phrase = " ".join(words) + rng.choice(("?", ".", ""))
    slots = {"city": city}
    if rng.random() < 0.03:
        phrase = phrase.replace("{city}", "{city}, {c}")
    if rng.random() < 0.04:
        slots["city"] = city = city.lower()
    question = _write(rng, phrase, slots, keep=("city",))
    if not any(tool["function"]["name"] == "get_weather" for tool in talk.tools):
        _say(talk, question, UNKNOWN_ANSWER, "weather" if follows else None)
        return
    spaced = rng.random() < 0.85
    if not spaced:
        talk.untaught.add(len(talk.messages) + 1)
    talk.messages.append({"role": "user", "content": question})
    talk.messages.append(tool_call(city, spaced))
    talk.topic = "weather"
    content, told = tool_result(rng, city)
    talk.messages.append({"role": "tool", "content": content})
    answer = UNKNOWN_ANSWER if told is None else weather_answer(city, told)
    talk.messages.append({"role": "assistant", "content": answer})


def _name_turn(rng: Random, talk: Conversation) -> None:
    """Ask for the assistant's name, or tell and ask the user's."""
    if rng.random() < 0.7:
        phrase = rng.choice(lines(OWN_NAME))
        if rng.random() < 0.15:
            words = _salad(rng, 0, 4) + rng.choice((["your name"], ["name", "you"]))
            rng.shuffle(words)
            phrase = " ".join(words) + rng.choice(("?", ".", ""))
        question = _write(rng, phrase, {})
        _say(talk, question, name_answer(talk.name), None)
    elif talk.user or rng.random() < 0.15:
        answer = f"Your name is {talk.user}." if talk.user else UNKNOWN_ANSWER
        _say(talk, _write(rng, rng.choice(lines(ASK_MY_NAME)), {}), answer, None)
    else:
        talk.user = person(rng)
        phrase = _end(rng, rng.choice(lines(MY_NAME)))
        answer = f"Nice to meet you, {talk.user}."
        _say(talk, phrase.replace("{n}", talk.user), answer, None)


def _small_turn(rng: Random, talk: Conversation) -> None:
    """Greet, thank or take leave."""
    if rng.random() < 0.5:
        phrase, answer = rng.choice(lines(GREETINGS)), GREETING_ANSWER
    else:
        answer = rng.choice(list(SMALL_TALK))
        phrase = rng.choice(lines(SMALL_TALK[answer]))
    phrase = _end(rng, phrase).replace("{n}", person(rng))
    kind = rng.random()
    phrase = phrase.lower() if kind < 0.15 else phrase.upper() if kind > 0.98 else phrase
    _say(talk, phrase, answer, talk.topic)


_TURNS = (_capital_turn, _unknown_turn, _weather_turn, _name_turn, _small_turn)
_WITH_TOOL = (24, 14, 48, 10, 5)
_WITHOUT_TOOL = (44, 26, 5, 18, 7)


def conversation(rng: Random) -> Conversation:
    """Make one conversation of one to four questions."""
    talk = Conversation()
    kind = rng.random()
    system = ""
    if kind < 0.4:
        talk.name = person(rng)
        system = rng.choice(lines(SYSTEM_NAMED)).replace("{n}", talk.name)
    elif kind < 0.6:
        system = rng.choice(lines(SYSTEM_PLAIN))
    system = system.replace("{city}", any_city(rng))
    while "{w}" in system:
        system = system.replace("{w}", rng.choice(WORDS), 1)
    if system and rng.random() < 0.12:
        extra = " ".join(_salad(rng, 2, rng.choice((9, 9, 25)))).capitalize() + "."
        system = f"{system} {extra}" if rng.random() < 0.7 else f"{extra} {system}"
    if system:
        talk.messages.append({"role": "system", "content": system})
    if rng.random() < 0.42:
        if rng.random() < 0.93:
            talk.tools.append(weather_tool(rng))
        if not talk.tools or rng.random() < 0.08:
            talk.tools.insert(rng.randrange(len(talk.tools) + 1), other_tool(rng))
    weights = _WITH_TOOL if talk.tools else _WITHOUT_TOOL
    for _ in range(rng.choices((1, 2, 3, 4), (50, 28, 15, 7))[0]):
        rng.choices(_TURNS, weights)[0](rng, talk)
    return talk


def conversations(seed: int) -> Iterator[Conversation]:
    """Make conversations without end."""
    rng = Random(seed)
    while True:
        yield conversation(rng)


def taught_spans(talk: Conversation, text: str) -> list[tuple[int, int]]:
    """Return where in the rendered text the assistant speaks, its end sign included."""
    spoken = [at for at, said in enumerate(talk.messages) if said["role"] == "assistant"]
    found = re.finditer(r"<\|im_start\|>assistant\n(.*?<\|im_end\|>)", text, re.DOTALL)
    return [
        match.span(1) for at, match in zip(spoken, found, strict=True) if at not in talk.untaught
    ]
