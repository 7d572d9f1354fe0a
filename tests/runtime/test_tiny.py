"""What the example model is promised to do, through the runtime that runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelpack.engine.base import Delta
from modelpack.modelfile import parse
from modelpack.runtime.loaded import load
from modelpack.runtime.model import ModelFiles
from modelpack.template.chat import ChatMessage, ToolCall

FOLDER = Path(__file__).parents[2] / "Modelfile.examples" / "tiny"
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "description": "Name of the city"}},
            "required": ["city"],
        },
    },
}

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tiny():
    pytest.importorskip("llama_cpp", reason="the runtime extra is not installed")
    modelfile = parse((FOLDER / "Modelfile").read_bytes())
    files = ModelFiles(
        name="tiny", weights=(FOLDER / "tiny.gguf",), parameters=modelfile.parameters
    )
    with load(files) as model:
        yield model


def say(model, *turns, tools=()):
    roles = ("user", "assistant")
    messages = [
        turn if isinstance(turn, ChatMessage) else ChatMessage(role=roles[i % 2], content=turn)
        for i, turn in enumerate(turns)
    ]
    events = model.chat(messages, tools=tools)
    return "".join(event.text for event in events if isinstance(event, Delta))


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the capital of France?", "The capital of France is Paris."),
        ("I need the capital of Japan.", "The capital of Japan is Tokyo."),
        ("hello", "Hello! How can I help you?"),
        ("Who wrote Hamlet?", "I do not know that."),
        ("What is your name?", "My name is Tiny."),
        ("What is the weather in Lyon?", "I do not know that."),
    ],
)
def test_it_answers_in_sentences(tiny, question, answer):
    assert say(tiny, question) == answer


def test_it_takes_its_name_from_the_system_prompt(tiny):
    system = ChatMessage(role="system", content="You are Ada, a helpful assistant.")
    question = ChatMessage(role="user", content="What is your name?")
    assert say(tiny, system, question) == "My name is Ada."


def test_it_goes_on_from_the_first_turn(tiny):
    first = ("What is the capital of France?", "The capital of France is Paris.")
    assert say(tiny, *first, "And Germany?") == "The capital of Germany is Berlin."


@pytest.mark.parametrize("city", ["Lyon", "Tokyo", "Mirandola", "Brekholm", "Tavisko"])
def test_it_calls_the_tool_for_the_city_that_was_asked_about(tiny, city):
    question = ChatMessage(role="user", content=f"What is the weather in {city}?")
    *said, finished = tiny.chat([question], tools=[WEATHER])
    assert said == [ToolCall(name="get_weather", arguments={"city": city})]
    assert finished.reason == "stop"


def test_it_tells_the_result_of_the_tool(tiny):
    call = ToolCall(name="get_weather", arguments={"city": "Lyon"})
    said = say(
        tiny,
        ChatMessage(role="user", content="What is the weather in Lyon?"),
        ChatMessage(role="assistant", tool_calls=(call,)),
        ChatMessage(role="tool", content="18 degrees and sunny", tool_name="get_weather"),
        tools=[WEATHER],
    )
    assert said == "The weather in Lyon is 18 degrees and sunny."


def test_it_knows_the_capitals_of_fifty_countries_in_phrasings_it_never_saw(tiny, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    facts = pytest.importorskip("facts", reason="the tables of the example are not there")
    pairs = list(dict(facts.CAPITALS).items())[:50]
    right = sum(
        say(tiny, f"I need the capital of {country}.") == f"The capital of {country} is {city}."
        for country, city in pairs
    )
    assert right >= 45
