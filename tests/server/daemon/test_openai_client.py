"""The official client of OpenAI for Python, unchanged."""

from __future__ import annotations

import decimal
import json
import math

import openai
import pydantic
import pytest
from support.serving import ANSWER, MODEL, QUESTION, WEATHER, serving

pytestmark = pytest.mark.model

GREEDY = {"temperature": 0}


def client_of(served):
    http = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", http_client=http)


@pytest.fixture(scope="module")
def client(shared):
    with client_of(shared) as client:
        yield client


def ask(content: object) -> list[dict]:
    return [{"role": "user", "content": content}]


def test_chat_answers(client):
    said = client.chat.completions.create(model=MODEL, messages=ask(QUESTION), **GREEDY)
    (choice,) = said.choices
    assert choice.message.content == ANSWER
    assert choice.finish_reason == "stop"
    assert said.usage.total_tokens == said.usage.prompt_tokens + said.usage.completion_tokens


def test_chat_streams_with_usage(client):
    *pieces, last = client.chat.completions.create(
        model=MODEL,
        messages=ask([{"type": "text", "text": QUESTION}]),
        stream=True,
        stream_options={"include_usage": True},
        **GREEDY,
    )
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == ANSWER
    assert pieces[0].choices[0].delta.role == "assistant"
    assert pieces[-1].choices[0].finish_reason == "stop"
    assert not last.choices
    assert last.usage.completion_tokens > 0


def test_a_system_message_counts(client):
    messages = [{"role": "developer", "content": "You are called Nova."}, *ask("Who are you?")]
    said = client.chat.completions.create(model=MODEL, messages=messages, **GREEDY)
    assert "Nova" in said.choices[0].message.content


def test_several_choices_come_together(shared):
    messages = ask("Who are you?")  # whose answers the last digits of F16 do not decide
    options = {"model": MODEL, "messages": messages, "n": 3, "seed": 1, "temperature": 1.5}
    plain = serving(shared.context, MODELPACK_FLASH_ATTENTION="0")
    with plain as served, client_of(served) as client:
        whole = client.chat.completions.create(**options)
        assert [choice.index for choice in whole.choices] == [0, 1, 2]
        texts = ["", "", ""]
        for piece in client.chat.completions.create(**options, stream=True):
            for choice in piece.choices:
                texts[choice.index] += choice.delta.content or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert len(set(texts)) > 1


def test_a_bound_on_tokens_is_told(client):
    said = client.chat.completions.create(
        model=MODEL, messages=ask(QUESTION), max_completion_tokens=2, **GREEDY
    )
    assert said.choices[0].finish_reason == "length"
    assert said.usage.completion_tokens == 2


def test_stop_strings_end_an_answer(client):
    said = client.chat.completions.create(
        model=MODEL, messages=ask(QUESTION), stop=["is"], **GREEDY
    )
    assert said.choices[0].message.content == ANSWER.partition("is")[0]


@pytest.mark.parametrize("stream", [False, True])
def test_tools_are_called(client, stream):
    options = {
        "model": MODEL,
        "messages": ask("What is the weather in Lyon?"),
        "tools": [WEATHER],
        **GREEDY,
    }
    if stream:
        calls, reason = [], None
        for piece in client.chat.completions.create(**options, stream=True):
            calls += piece.choices[0].delta.tool_calls or []
            reason = piece.choices[0].finish_reason or reason
    else:
        (choice,) = client.chat.completions.create(**options).choices
        calls, reason = choice.message.tool_calls, choice.finish_reason
    (call,) = calls
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Lyon"}
    assert call.id
    assert reason == "tool_calls"


def test_a_call_can_be_required_or_forbidden(client):
    options = {"model": MODEL, "messages": ask("hello"), "tools": [WEATHER], **GREEDY}
    said = client.chat.completions.create(**options, tool_choice="required", max_tokens=60)
    assert said.choices[0].message.tool_calls[0].function.name == "get_weather"
    said = client.chat.completions.create(**options, tool_choice="none")
    assert not said.choices[0].message.tool_calls


def test_results_of_tools_go_back(client):
    call = {"name": "get_weather", "arguments": '{"city": "Lyon"}'}
    messages = [
        *ask("What is the weather in Lyon?"),
        {
            "role": "assistant",
            "tool_calls": [{"id": "call_1", "type": "function", "function": call}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny, 21 degrees"},
    ]
    said = client.chat.completions.create(model=MODEL, messages=messages, tools=[WEATHER], **GREEDY)
    assert said.choices[0].message.content


def test_a_schema_is_kept_to(client):
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}},
        "required": ["n"],
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    said = client.chat.completions.create(
        model=MODEL, messages=ask("a number"), response_format=form, max_tokens=60, **GREEDY
    )
    assert 1 <= json.loads(said.choices[0].message.content)["n"] <= 9


def test_schemas_that_no_grammar_can_say_all_of_are_taken(client):
    class Page(pydantic.BaseModel):
        home: pydantic.HttpUrl
        price: decimal.Decimal
        tags: set[str]

    form = openai.lib._parsing._completions.type_to_response_format_param(Page)
    tool = openai.pydantic_function_tool(Page)
    options = {"model": MODEL, "messages": ask("a page"), "max_tokens": 20, **GREEDY}
    said = client.chat.completions.create(**options, response_format=form)
    assert said.choices[0].message.content.startswith('{"home":')
    said = client.chat.completions.create(**options, tools=[tool], tool_choice="required")
    assert said.usage.completion_tokens == 20


def test_a_tool_whose_schema_takes_too_long_is_refused(client):
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "a" * 5_000}}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    with pytest.raises(openai.BadRequestError, match="a pattern of 5,000 characters"):
        client.chat.completions.create(
            model=MODEL, messages=ask("x"), tools=[tool], tool_choice="required"
        )


def test_log_probabilities_are_told(client):
    said = client.chat.completions.create(
        model=MODEL, messages=ask(QUESTION), logprobs=True, top_logprobs=2, **GREEDY
    )
    content = said.choices[0].logprobs.content
    assert "".join(one.token for one in content) == ANSWER
    assert all(one.logprob <= 0 and len(one.top_logprobs) == 2 for one in content)


def test_a_bias_changes_the_answer(client):
    said = client.chat.completions.create(
        model=MODEL,
        messages=ask(QUESTION),
        logit_bias={str(token): -100 for token in range(40, 60)},
        max_tokens=10,
        **GREEDY,
    )
    assert said.choices[0].message.content != ANSWER


@pytest.mark.parametrize("stream", [False, True])
def test_completions_go_on(client, stream):
    prompt = "<|im_start|>user\n" + QUESTION + "<|im_end|>\n<|im_start|>assistant\n"
    said = client.completions.create(
        model=MODEL, prompt=prompt, stream=stream, extra_body={"raw": True}, **GREEDY
    )
    if stream:
        text = "".join(piece.choices[0].text for piece in said)
    else:
        text = said.choices[0].text
        assert said.choices[0].finish_reason == "stop"
    assert text == ANSWER


def test_a_prompt_may_be_tokens(client, shared):
    """They count as they are: no template goes around them."""
    told = shared.post(
        "/api/generate", model=MODEL, prompt=QUESTION, options={"num_predict": 1, "temperature": 0}
    )
    tokens = told["context"][: told["prompt_eval_count"]]

    def complete(prompt: object) -> openai.types.Completion:
        return client.completions.create(model=MODEL, prompt=prompt, max_tokens=40, temperature=0)

    said = complete(tokens)
    assert said.choices[0].text == ANSWER
    assert said.usage.prompt_tokens == len(tokens)
    assert [choice.text for choice in complete([tokens, tokens]).choices] == [ANSWER, ANSWER]
    for wrong in ([], [[]], [True], [1, "x"], [-1], [2**40], [[1], 2], [1.5], {"a": 1}, [10**6]):
        with pytest.raises(openai.BadRequestError, match=r"prompt|no token"):
            complete(wrong)


def test_embeddings_come_as_numbers_and_as_base64(client):
    plain = client.embeddings.create(model=MODEL, input=["a", "b"], encoding_format="float")
    packed = client.embeddings.create(model=MODEL, input=["a", "b"])
    assert len(plain.data) == 2
    for one, other in zip(plain.data, packed.data, strict=True):
        assert all(
            math.isclose(x, y, abs_tol=1e-6)
            for x, y in zip(one.embedding, other.embedding, strict=True)
        )


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == ["tiny:latest"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("nothing")


def test_what_is_wrong_is_told_as_openai_does(client):
    with pytest.raises(openai.NotFoundError, match="not found") as caught:
        client.chat.completions.create(model="nothing", messages=ask("x"))
    assert caught.value.type == "not_found_error"
    with pytest.raises(openai.BadRequestError, match="temperature must be a number"):
        client.chat.completions.create(
            model=MODEL, messages=ask("x"), extra_body={"temperature": "hot"}
        )


def test_responses_answer(client):
    said = client.responses.create(model=MODEL, input=QUESTION, **GREEDY)
    assert said.output_text == ANSWER
    assert said.status == "completed"
    assert said.usage.output_tokens > 0


def test_responses_stream(client):
    events = list(client.responses.create(model=MODEL, input=QUESTION, stream=True, **GREEDY))
    kinds = [event.type for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert kinds[-1] == "response.completed"
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == ANSWER == events[-1].response.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))


def test_responses_call_tools_and_take_results(client):
    function = WEATHER["function"]
    tools = [{"type": "function", **function}]
    question = {"role": "user", "content": "What is the weather in Lyon?"}
    said = client.responses.create(model=MODEL, input=[question], tools=tools, **GREEDY)
    (call,) = said.output
    assert (call.type, call.name, json.loads(call.arguments)) == (
        "function_call", "get_weather", {"city": "Lyon"},
    )  # fmt: skip
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
    again = client.responses.create(
        model=MODEL, input=[question, call.model_dump(), result], tools=tools, **GREEDY
    )
    assert again.output
    with client.responses.stream(model=MODEL, input=[question], tools=tools, **GREEDY) as stream:
        assert stream.get_final_response().output[0].name == "get_weather"


def test_responses_have_no_memory(client):
    with pytest.raises(openai.BadRequestError, match="previous_response_id"):
        client.responses.create(model=MODEL, input="x", previous_response_id="resp_1")
