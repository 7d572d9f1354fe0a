"""The requests of Ollama's API documentation, replayed: every field that it shows comes back.

See: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import re

import pytest
from support.serving import MODEL, WEATHER

pytestmark = pytest.mark.model

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)\Z")
STATISTICS = {
    "total_duration": int,
    "load_duration": int,
    "prompt_eval_count": int,
    "prompt_eval_duration": int,
    "eval_count": int,
    "eval_duration": int,
}
DETAILS = {
    "parent_model": str,
    "format": str,
    "family": str,
    "families": list,
    "parameter_size": str,
    "quantization_level": str,
}
GENERATED = {"model": str, "created_at": str, "response": str, "done": bool}
CHATTED = {"model": str, "created_at": str, "message": dict, "done": bool}
FAST = {"num_predict": 8, "num_thread": 1}
HELLO = [{"role": "user", "content": "why is the sky blue?"}]
LOADED = {"done": True, "done_reason": "load"}
AGE = {"type": "object", "properties": {"age": {"type": "integer"}}}
TOOLED = {
    "messages": [{"role": "user", "content": "What is the weather in Lyon?"}],
    "tools": [WEATHER],
}


def check(said: dict, fields: dict, **exact: object) -> None:
    for name, kind in fields.items():
        assert isinstance(said.get(name), kind), (name, said)
        if name.endswith("_at"):
            assert TIME.match(said[name]), said[name]
    for name, value in exact.items():
        assert said[name] == value


@pytest.mark.parametrize(
    "body",
    [
        {"prompt": "Why is the sky blue?"},
        {"prompt": "What color is the sky?", "format": "json"},
        {
            "prompt": "Ollama is 22 years old. Respond using JSON",
            "format": {
                "type": "object",
                "properties": {"age": {"type": "integer"}, "available": {"type": "boolean"}},
                "required": ["age", "available"],
            },
        },
        {"prompt": "[INST] why is the sky blue? [/INST]", "raw": True},
        {"prompt": "Why is the sky blue?", "options": {"seed": 101, "temperature": 0}},
        {
            "prompt": "Why is the sky blue?",
            "options": {
                "num_keep": 5, "seed": 42, "num_predict": 8, "top_k": 20, "top_p": 0.9,
                "min_p": 0.0, "typical_p": 0.7, "repeat_last_n": 33, "temperature": 0.8,
                "repeat_penalty": 1.2, "presence_penalty": 1.5, "frequency_penalty": 1.0,
                "penalize_newline": True, "stop": ["\n", "user:"], "numa": False, "num_ctx": 1024,
                "num_batch": 2, "num_gpu": 1, "main_gpu": 0, "use_mmap": True, "num_thread": 8,
            },
        },
    ],
    ids=["plain", "json", "schema", "raw", "reproducible", "every option"],
)  # fmt: skip
def test_generate(own, body):
    body = {**body, "options": {**FAST, **body.get("options", {}), "num_thread": 1}}
    *pieces, last = own.lines("/api/generate", model=MODEL, **body)
    for piece in pieces:
        check(piece, GENERATED, model=MODEL, done=False)
    check(last, {**GENERATED, **STATISTICS, "done_reason": str}, done=True)
    assert ("context" in last) is not body.get("raw", False)
    whole = own.post("/api/generate", model=MODEL, **body)
    check(whole, {**GENERATED, **STATISTICS}, done=True)


def test_generate_loads_and_unloads(shared, own):
    check(shared.post("/api/generate", model=MODEL), GENERATED, response="", **LOADED)
    said = own.post("/api/generate", model=MODEL, keep_alive=0)
    check(said, GENERATED, done=True, done_reason="unload")
    (line,) = shared.lines("/api/generate", model=MODEL)
    check(line, GENERATED, **LOADED)


@pytest.mark.parametrize(
    "body",
    [
        {"messages": HELLO},
        {"messages": [*HELLO, {"role": "assistant", "content": "due to rayleigh scattering."},
                      {"role": "user", "content": "how is that different than mie scattering?"}]},
        {"messages": HELLO, "options": {"seed": 101, "temperature": 0}},
        {"messages": HELLO, "format": AGE},
    ],
    ids=["plain", "history", "reproducible", "schema"],
)  # fmt: skip
def test_chat(shared, body):
    body = {**body, "options": {**FAST, **body.get("options", {})}}
    *pieces, last = shared.lines("/api/chat", model=MODEL, **body)
    for piece in pieces:
        check(piece, CHATTED, model=MODEL, done=False)
        check(piece["message"], {"content": str}, role="assistant")
    check(last, {**CHATTED, **STATISTICS, "done_reason": str}, done=True)
    whole = shared.post("/api/chat", model=MODEL, **body)
    check(whole, {**CHATTED, **STATISTICS}, done=True)
    check(whole["message"], {"content": str}, role="assistant")


def test_chat_with_tools(shared):
    whole = shared.post("/api/chat", model=MODEL, options={"temperature": 0}, **TOOLED)
    (call,) = whole["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert call["function"]["arguments"] == {"city": "Lyon"}
    assert whole["message"]["content"] == ""
    lines = shared.lines("/api/chat", model=MODEL, options={"temperature": 0}, **TOOLED)
    calls = [c for line in lines for c in line["message"].get("tool_calls", ())]
    assert [c["function"] for c in calls] == [call["function"]]


def test_chat_loads(shared):
    check(shared.post("/api/chat", model=MODEL, messages=[]), CHATTED, **LOADED)


def test_tags(shared):
    (model,) = shared.ask("GET", "/api/tags").json()["models"]
    check(
        model,
        {
            "name": str,
            "model": str,
            "modified_at": str,
            "size": int,
            "digest": str,
            "details": dict,
        },
    )
    check(model["details"], DETAILS)
    assert re.fullmatch(r"[0-9a-f]{64}", model["digest"])


def test_show(shared):
    said = shared.post("/api/show", model=MODEL)
    check(
        said,
        {"modelfile": str, "parameters": str, "template": str, "details": dict, "model_info": dict,
         "capabilities": list, "license": str, "modified_at": str},
    )  # fmt: skip
    check(said["details"], DETAILS)
    info = said["model_info"]
    assert info["general.architecture"] == "llama"
    assert isinstance(info["general.parameter_count"], int)
    assert isinstance(info["llama.context_length"], int)
    assert info["tokenizer.ggml.model"] == "gpt2"
    assert "tensors" not in said
    full = shared.post("/api/show", model=MODEL, verbose=True)
    assert len(full["model_info"]["tokenizer.ggml.tokens"]) == 768
    check(full["tensors"][0], {"name": str, "type": str, "shape": list})


def test_ps(shared):
    shared.post("/api/generate", model=MODEL)
    (model,) = shared.ask("GET", "/api/ps").json()["models"]
    check(
        model,
        {"name": str, "model": str, "size": int, "digest": str, "details": dict, "expires_at": str,
         "size_vram": int, "context_length": int},
    )  # fmt: skip


def test_embed(shared):
    said = shared.post("/api/embed", model=MODEL, input="Why is the sky blue?")
    check(said, {"model": str, "embeddings": list, "total_duration": int, "load_duration": int})
    assert said["prompt_eval_count"] > 0
    many = shared.post(
        "/api/embed", model=MODEL, input=["Why is the sky blue?", "Why is grass green?"]
    )
    assert len(many["embeddings"]) == 2
    assert (
        len(shared.post("/api/embed", model=MODEL, input="x", dimensions=16)["embeddings"][0]) == 16
    )
    for nothing in ([], "", None):
        assert shared.post("/api/embed", model=MODEL, input=nothing)["embeddings"] == []
    assert shared.ask("POST", "/api/embed", {"model": MODEL, "input": [""]}).status_code == 400
    answer = shared.ask("POST", "/api/embed", {"model": MODEL, "input": 3})
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid input type"})
    old = shared.post("/api/embeddings", model=MODEL, prompt="Here is an article about llamas...")
    assert len(old["embedding"]) == 128


def test_copy_and_delete(own):
    body = {"source": MODEL, "destination": "backup"}
    copied = own.ask("POST", "/api/copy", body)
    assert (copied.status_code, copied.text) == (200, "")
    deleted = own.ask("DELETE", "/api/delete", {"model": "backup"})
    assert (deleted.status_code, deleted.text) == (200, "")
    gone = own.ask("DELETE", "/api/delete", {"model": "backup"})
    assert (gone.status_code, gone.json()) == (404, {"error": "model 'backup' not found"})
    missing = own.ask("POST", "/api/copy", {"source": "nothing", "destination": "x"})
    assert missing.status_code == 404


def test_create_tells_what_it_does(own):
    said = own.lines("/api/create", model="mario", **{"from": MODEL}, system="You are Mario.")
    assert said[-1] == {"status": "success"}
    assert {"status": "writing manifest"} in said
    assert all(set(line) <= {"status", "digest", "total", "completed"} for line in said)
    answer = own.ask("POST", "/api/create", {"model": "x"})
    assert answer.json()["error"] == "neither 'from' or 'files' was specified"


def test_names_of_fields_that_ollama_gave_up_still_work(own):
    assert own.post("/api/show", name=MODEL)["details"]
    own.post("/api/create", name="old", **{"from": MODEL})
    assert own.ask("DELETE", "/api/delete", {"name": "old"}).status_code == 200


def test_the_small_routes(shared):
    assert shared.ask("GET", "/").text == "Ollama is running"
    assert shared.ask("HEAD", "/").status_code == 200
    assert shared.ask("HEAD", "/api/tags").status_code == 200
    check(shared.ask("GET", "/api/version").json(), {"version": str})
    assert shared.ask("GET", "/api/chat").status_code == 405
    assert shared.ask("POST", "/api/nothing", {}).status_code == 404


def test_blobs(own):
    digest = "sha256:" + "0" * 64
    assert own.ask("HEAD", f"/api/blobs/{digest}").status_code == 404
    assert own.ask("HEAD", "/api/blobs/sha256:00").status_code == 400
    layer = own.context.find(MODEL).manifest.layers[0]
    assert own.ask("HEAD", f"/api/blobs/{layer.digest}").status_code == 200
    assert own.ask("POST", f"/api/blobs/{layer.digest}", b"").status_code == 200


CHAT, PROMPT = {"model": MODEL, "messages": HELLO}, {"model": MODEL, "prompt": "x"}
REFUSED = (
    ("/api/generate", {"model": "nothing", "prompt": "x"}, 404, '"nothing" not found, try pulling'),
    ("/api/show", {"model": "nothing"}, 404, "model 'nothing' not found"),
    ("/api/chat", {"messages": HELLO}, 400, "model is required"),
    ("/api/chat", {**CHAT, "think": True}, 400, '"tiny" does not support thinking'),
    ("/api/chat", {**CHAT, "options": {"num_ctx": "x"}}, 400, 'option "num_ctx" must be of type'),
    ("/api/generate", {**PROMPT, "suffix": "y"}, 400, "does not support insert"),
    ("/api/generate", {**PROMPT, "raw": True, "system": "y"}, 400, "raw mode does not support"),
    ("/api/generate", {**PROMPT, "images": ["AAAA"]}, 400, '"tiny" does not support vision'),
)


@pytest.mark.parametrize(("path", "body", "status", "error"), REFUSED)
def test_errors(shared, path, body, status, error):
    answer = shared.ask("POST", path, body)
    assert answer.status_code == status
    assert error in answer.json()["error"]
