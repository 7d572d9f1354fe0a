"""The official client of Anthropic for Python, unchanged."""

from __future__ import annotations

import anthropic
import pytest
from support.serving import ANSWER, MODEL, QUESTION, WEATHER

pytestmark = pytest.mark.model

TOOL = {
    "name": "get_weather",
    "description": "Current weather in a city",
    "input_schema": WEATHER["function"]["parameters"],
}


@pytest.fixture(scope="module")
def client(shared):
    http = anthropic.DefaultHttpxClient(trust_env=False)
    with anthropic.Anthropic(base_url=shared.url, api_key="none", http_client=http) as client:
        yield client


def asked(content: object = QUESTION, **more: object) -> dict[str, object]:
    return {
        "model": MODEL,
        "max_tokens": 60,
        "extra_body": {"temperature": 0},
        "messages": [{"role": "user", "content": content}],
        **more,
    }


def test_a_message_is_answered(client):
    said = client.messages.create(**asked())
    (block,) = said.content
    assert block.text == ANSWER
    assert said.stop_reason == "end_turn"
    assert said.usage.output_tokens > 0


def test_a_message_streams(client):
    with client.messages.stream(**asked([{"type": "text", "text": QUESTION}])) as stream:
        assert "".join(stream.text_stream) == ANSWER
        final = stream.get_final_message()
    assert final.stop_reason == "end_turn"
    assert final.usage.input_tokens + final.usage.cache_read_input_tokens > 0


def test_the_events_come_in_order(client):
    events = list(client.messages.create(**asked(), stream=True))
    kinds = [event.type for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    assert events[0].message.usage.input_tokens > 0
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") == 1


def test_a_system_prompt_counts(client):
    said = client.messages.create(**asked("Who are you?", system="You are called Nova."))
    assert "Nova" in said.content[0].text
    blocks = [{"type": "text", "text": "You are called Nova."}]
    assert client.messages.create(**asked("Who are you?", system=blocks)).content == said.content


def test_a_bound_and_stop_sequences_are_told(client):
    assert client.messages.create(**asked(max_tokens=2)).stop_reason == "max_tokens"
    said = client.messages.create(**asked(stop_sequences=["Paris"]))
    assert (said.stop_reason, said.stop_sequence) == ("stop_sequence", "Paris")


def test_tools_are_used_and_their_results_taken(client):
    question = "What is the weather in Lyon?"
    said = client.messages.create(**asked(question, tools=[TOOL]))
    (use,) = said.content
    assert (use.type, use.name, use.input) == ("tool_use", "get_weather", {"city": "Lyon"})
    assert said.stop_reason == "tool_use"
    result = {"type": "tool_result", "tool_use_id": use.id, "content": "sunny, 21 degrees"}
    messages = [
        {"role": "user", "content": question},
        {"role": "assistant", "content": [use.model_dump()]},
        {"role": "user", "content": [result]},
    ]
    again = client.messages.create(**{**asked(tools=[TOOL]), "messages": messages})
    assert again.content
    with client.messages.stream(**asked(question, tools=[TOOL])) as stream:
        assert stream.get_final_message().content[0].input == {"city": "Lyon"}


def test_a_tool_can_be_required(client):
    said = client.messages.create(**asked("hello", tools=[TOOL], tool_choice={"type": "any"}))
    assert said.content[0].type == "tool_use"


def test_tokens_are_counted_without_an_answer(client):
    messages = asked()["messages"]
    counted = client.messages.count_tokens(model=MODEL, messages=messages)
    said = client.messages.create(**asked())
    usage = said.usage
    assert counted.input_tokens == usage.input_tokens + usage.cache_read_input_tokens


def test_what_is_wrong_is_told_as_anthropic_does(client):
    with pytest.raises(anthropic.NotFoundError, match="not found"):
        client.messages.create(**asked(model="nothing"))
    with pytest.raises(anthropic.BadRequestError, match="does not support thinking"):
        client.messages.create(
            **asked(max_tokens=2000, thinking={"type": "enabled", "budget_tokens": 1024})
        )
