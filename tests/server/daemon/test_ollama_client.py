"""The official client of Ollama for Python, unchanged, over its whole surface."""

from __future__ import annotations

import hashlib
import math

import ollama
import pytest
from support.serving import ANSWER, EXAMPLE, GREEDY, MODEL, QUESTION, WEATHER

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def client(shared):
    with ollama.Client(host=shared.url, trust_env=False) as client:
        yield client


@pytest.fixture
def private(own):
    with ollama.Client(host=own.url, trust_env=False) as client:
        yield client


def ask(content: str) -> list[dict]:
    return [{"role": "user", "content": content}]


def test_chat_answers_at_once(client):
    said = client.chat(MODEL, ask(QUESTION), options=GREEDY)
    assert said.message.content == ANSWER
    assert said.message.role == "assistant"
    assert said.done
    assert said.done_reason == "stop"
    assert said.eval_count > 0
    assert said.prompt_eval_count > 0
    assert said.total_duration >= said.eval_duration > 0


def test_chat_streams(client):
    *pieces, last = client.chat(MODEL, ask(QUESTION), options=GREEDY, stream=True)
    assert "".join(piece.message.content for piece in pieces) == ANSWER
    assert not any(piece.done for piece in pieces)
    assert last.done
    assert last.message.content == ""


def test_a_long_answer_comes_in_pieces(client):
    numbers = {"type": "array", "items": {"type": "integer"}, "minItems": 1000}
    wishes = {"seed": 1, "temperature": 5.0, "num_predict": 500}
    *pieces, last = client.chat(MODEL, ask("Hello"), format=numbers, options=wishes, stream=True)
    assert last.eval_count == 500
    assert len(pieces) > 1


def test_generate_answers_and_goes_on_from_its_context(client):
    said = client.generate(MODEL, QUESTION, options=GREEDY)
    assert said.response == ANSWER
    assert said.context
    again = client.generate(MODEL, "Who are you?", context=said.context, options=GREEDY)
    assert again.prompt_eval_count > len(said.context)


def test_generate_streams_raw_text(client):
    prompt = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    pieces = list(client.generate(MODEL, prompt, raw=True, options=GREEDY, stream=True))
    assert "".join(piece.response for piece in pieces)
    assert pieces[-1].done


def test_a_seed_gives_the_same_answer(client):
    options = {**GREEDY, "temperature": 1.5, "seed": 11}
    first, second = (client.chat(MODEL, ask("hello"), options=options) for _ in range(2))
    assert first.message.content == second.message.content


def test_tools_come_back_as_calls(client):
    said = client.chat(MODEL, ask("What is the weather in Lyon?"), tools=[WEATHER], options=GREEDY)
    (call,) = said.message.tool_calls
    assert call.function.name == "get_weather"
    assert call.function.arguments == {"city": "Lyon"}


def test_a_schema_is_kept_to(client):
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 12}},
        "required": ["city"],
        "additionalProperties": False,
    }
    said = client.chat(MODEL, ask("Paris?"), format=schema, options=GREEDY)
    assert said.message.content.startswith("{")
    assert "city" in said.message.content


def test_log_probabilities_are_told(client):
    said = client.chat(MODEL, ask(QUESTION), options=GREEDY, logprobs=True, top_logprobs=3)
    assert len(said.logprobs) == said.eval_count - 1
    for one in said.logprobs:
        assert one.logprob <= 0
        assert len(one.top_logprobs) == 3
        assert math.isclose(one.logprob, one.top_logprobs[0].logprob, abs_tol=1e-4)


def test_embed_gives_vectors_of_length_one(client):
    said = client.embed(MODEL, ["one", "two"])
    assert len(said.embeddings) == 2
    assert all(math.isclose(math.hypot(*v), 1, rel_tol=1e-3) for v in said.embeddings)
    assert len(client.embeddings(MODEL, "one").embedding) == len(said.embeddings[0])


def test_models_are_listed_and_shown(client):
    (model,) = client.list().models
    assert model.model == "tiny:latest"
    assert model.details.family == "llama"
    assert model.details.quantization_level == "F16"
    shown = client.show(MODEL)
    assert shown.details.format == "gguf"
    assert shown.modelinfo["general.architecture"] == "llama"
    assert shown.modelinfo["general.parameter_count"] > 900_000
    assert "FROM" in shown.modelfile
    assert "completion" in shown.capabilities


def test_what_is_loaded_is_told(client):
    client.chat(MODEL, ask("hello"), options=GREEDY, keep_alive="10m")
    (running,) = client.ps().models
    assert running.model == "tiny:latest"
    assert running.size >= running.size_vram
    assert running.context_length == 1024
    assert running.expires_at is not None


def test_a_missing_model_is_told(client):
    with pytest.raises(ollama.ResponseError, match="not found") as caught:
        client.chat("nothing", ask("hello"))
    assert caught.value.status_code == 404


def test_models_are_copied_and_deleted(private):
    private.copy(MODEL, "other:one")
    assert {model.model for model in private.list().models} == {"tiny:latest", "other:one"}
    private.delete("other:one")
    assert {model.model for model in private.list().models} == {"tiny:latest"}
    with pytest.raises(ollama.ResponseError, match="not found"):
        private.delete("other:one")


def test_a_model_is_created_of_a_blob_that_was_sent(private, own):
    weights = EXAMPLE / "tiny.gguf"
    digest = private.create_blob(weights)
    assert digest == f"sha256:{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    answer = private.create(
        "fresh",
        files={"tiny.gguf": digest},
        system="You are called Ada.",
        parameters={"temperature": 0, "stop": ["x", "y"], "num_thread": 1},
        license="MIT",
        messages=[{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}],
    )
    assert answer.status == "success"
    shown = private.show("fresh")
    assert "Ada" in shown.modelfile
    assert shown.license == "MIT"
    assert private.chat("fresh", ask(QUESTION)).message.content
    (layer,) = own.context.find("fresh").manifest.layers[:1]
    assert str(layer.digest) == digest
    assert layer.annotations["org.cncf.model.filepath"] == "tiny.gguf"


def test_a_model_is_created_from_another(private):
    lines = list(private.create("child", from_=MODEL, system="Be short.", stream=True))
    assert lines[-1].status == "success"
    assert private.show("child").modelfile.count("SYSTEM") == 1


def test_quantizing_is_refused_plainly(private):
    with pytest.raises(ollama.ResponseError, match="quantizing"):
        private.create("q", from_=MODEL, quantize="q4_K_M")
