"""Thoughts and answers of a model that thinks, told apart over HTTP in each API's words."""

from __future__ import annotations

import json

import pytest
from engine.made import write_chain
from support.serving import GREEDY, Served, context_of, serving

from modelpack.ops.build import BuildOptions, build

pytestmark = pytest.mark.model

CONTROLS = ("<think>", "</think>")
ASKED = [{"role": "user", "content": "Why?"}]
SAID = "{{ range .Messages }}{{ .Content }}{{ end }}"
TEMPLATES = {
    "opened by the prompt": f"{SAID}<think>{{{{ if not .Think }}}}</think>{{{{ end }}}}",
    "opened by the model": f"{SAID}{{{{ if not .Think }}}}<think></think>{{{{ end }}}}",
}


@pytest.fixture(scope="module", params=TEMPLATES.values(), ids=TEMPLATES.keys())
def thinker(request, tmp_path_factory):
    """A server whose model thinks `hm` and says `yes`."""
    folder = tmp_path_factory.mktemp("thinker")
    chain = ("?", "<think>", "h", "m", "</think>", "y", "e", "s")
    path = write_chain(folder / "thinker.gguf", *chain, controls=CONTROLS)
    text = f"FROM {path}\nTEMPLATE {request.param}\nPARAMETER temperature 0\n"
    context = context_of(folder / "models")
    build(context, text.encode(), BuildOptions(context=folder, tags=["thinker"]))
    with serving(context) as served:
        yield served


def events(served: Served, path: str, **body: object) -> list[dict]:
    answer = served.ask("POST", path, {"model": "thinker", "stream": True, **body})
    assert answer.status_code == 200, answer.text
    lines = (line.removeprefix("data: ") for line in answer.text.splitlines())
    return [json.loads(line) for line in lines if line.startswith("{")]


def test_the_model_is_shown_as_one_that_thinks(thinker):
    assert "thinking" in thinker.post("/api/show", model="thinker")["capabilities"]


@pytest.mark.parametrize("said", [{"think": True}, {"think": False}, {}])
def test_ollama_chat(thinker, said):
    think = said.get("think", True)
    body = {"model": "thinker", "messages": ASKED, **said, "options": GREEDY}
    whole = thinker.post("/api/chat", **body)
    assert (whole["message"].get("thinking", ""), whole["message"]["content"]) == (
        "hm" if think else "",
        "yes",
    )
    assert whole["done_reason"] == "stop"
    messages = [line["message"] for line in thinker.lines("/api/chat", **body)]
    assert "".join(m.get("thinking", "") for m in messages) == ("hm" if think else "")
    assert "".join(m["content"] for m in messages) == "yes"


def test_ollama_generate(thinker):
    body = {"model": "thinker", "prompt": "Why?", "options": GREEDY}
    whole = thinker.post("/api/generate", think=True, **body)
    assert (whole["thinking"], whole["response"]) == ("hm", "yes")
    assert thinker.post("/api/generate", think=False, **body)["response"] == "yes"


@pytest.mark.parametrize("effort", ["high", "none"])
def test_openai_chat(thinker, effort):
    thoughts = "hm" if effort == "high" else ""
    body = {"model": "thinker", "messages": ASKED, "reasoning_effort": effort}
    (choice,) = thinker.post("/v1/chat/completions", **body)["choices"]
    assert choice["message"].get("reasoning", "") == thoughts
    assert choice["message"]["content"] == "yes"
    found = events(thinker, "/v1/chat/completions", **body)
    deltas = [choice["delta"] for event in found for choice in event["choices"]]
    assert "".join(d.get("reasoning") or "" for d in deltas) == thoughts
    assert "".join(d.get("content") or "" for d in deltas) == "yes"


def test_openai_responses(thinker):
    body = {"model": "thinker", "input": "Why?", "reasoning": {"effort": "high"}}
    thought, message = thinker.post("/v1/responses", **body)["output"]
    assert thought["summary"][0]["text"] == "hm"
    assert message["content"][0]["text"] == "yes"


@pytest.mark.parametrize("kind", ["enabled", "disabled"])
def test_anthropic(thinker, kind):
    budget = {"budget_tokens": 1024} if kind == "enabled" else {}
    expected = [("text", "yes")] if kind == "disabled" else [("thinking", "hm"), ("text", "yes")]
    body = {"model": "thinker", "max_tokens": 2000, "messages": ASKED}
    body |= {"thinking": {"type": kind, **budget}}
    content = thinker.post("/v1/messages", **body)["content"]
    assert [(block["type"], block[block["type"]]) for block in content] == expected
    found = [event for event in events(thinker, "/v1/messages", **body) if "delta" in event]
    said = {kind: "" for kind, _ in expected}
    for event in found:
        for kind in said:
            said[kind] += event["delta"].get(kind, "")
    assert list(said.items()) == expected


def test_thoughts_that_are_cut_off_are_no_answer(thinker):
    options = {**GREEDY, "num_predict": 2}
    said = thinker.post("/api/chat", model="thinker", messages=ASKED, think=True, options=options)
    assert said["message"]["content"] == ""
    assert said["done_reason"] == "length"
