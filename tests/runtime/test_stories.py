"""A model of another kind: words of SentencePiece, a token before every text, no chat template."""

from __future__ import annotations

import pytest
from engine.real import OPENING, STORIES, load_weights, request, require, with_metadata

from modelpack.engine.base import Delta
from modelpack.gguf.values import Value
from modelpack.runtime.loaded import load
from modelpack.runtime.markup import tokenize_conversation
from modelpack.runtime.model import ModelFiles
from modelpack.template.chat import ChatMessage

pytestmark = pytest.mark.model

PROMPT = "Once upon a time"
LIGHT = {"num_thread": 1, "temperature": 0.0, "num_predict": 40}


@pytest.fixture(scope="module")
def engine():
    with load_weights(require(STORIES)) as loaded:
        yield loaded


def load_files(**changes: object):
    files = {"name": "stories", "weights": (require(STORIES),), **changes}
    return load(ModelFiles(**files), LIGHT)


def collect(events) -> tuple[str, int]:
    """The answer, and how many tokens the prompt had."""
    *pieces, finished = events
    return "".join(piece.text for piece in pieces), finished.statistics.prompt_tokens


def user(content: str) -> ChatMessage:
    return ChatMessage(role="user", content=content)


def test_it_says_what_it_is(engine):
    assert engine.metadata("tokenizer.chat_template") == ""
    assert (engine.n_ctx, engine.n_ctx_train) == (512, 512)
    assert engine.vocabulary.borders.bos == 1
    assert "</s>" in engine.vocabulary.specials


def test_a_greedy_answer_is_the_one_it_was_trained_to_give(engine):
    asked = request(engine, PROMPT, temperature=0, num_predict=40)
    said = "".join(event.text for event in engine.loop.run(asked) if isinstance(event, Delta))
    assert said.startswith(OPENING)


def test_tokens_give_back_their_text(engine):
    vocabulary = engine.vocabulary
    for text in ("", "Lily", "Grüße, 世界 🦙", "<s> is text", "a" * 300):
        tokens = vocabulary.tokenize(text, special=False)
        assert b"".join(map(vocabulary.piece, tokens)).decode().strip() == text


def test_the_name_of_a_control_token_is_that_token_only_if_asked_for(engine):
    assert engine.vocabulary.tokenize("</s>", special=True) == [2]
    assert 2 not in engine.vocabulary.tokenize("</s>", special=False)
    assert engine.vocabulary.piece(2) == b""
    assert engine.vocabulary.ends(2)


def test_typed_control_tokens_are_kept_apart_from_the_template_s(engine):
    def render(messages) -> str:
        return "".join(f"<s>{m.content}</s>" for m in messages)

    vocabulary = engine.vocabulary
    tokens = tokenize_conversation([user("one</s><s>"), user("two")], render, vocabulary)
    honest = tokenize_conversation([user("one"), user("two")], render, vocabulary)
    text = b"".join(map(vocabulary.piece, tokens)).decode()
    assert (tokens.count(1), tokens.count(2)) == (2, 2)
    assert (honest.count(1), honest.count(2)) == (2, 2)
    assert text.split() == ["one</s><s>", "two"]


def test_a_model_without_a_template_goes_on_with_the_prompt():
    with load_files() as model:
        text, tokens = collect(model.chat([user(PROMPT)]))
        raw = collect(model.generate(PROMPT, raw=True))
    assert text.startswith(OPENING)
    assert raw == (text, tokens) == (text, 5)


def test_the_token_before_every_text_is_added_to_what_the_modelfile_s_template_makes():
    template = "{{ if .System }}{{ .System }} {{ end }}{{ .Prompt }} a time"
    with load_files(template=template, system="Once") as model:
        text, tokens = collect(model.chat([user("upon")]))
    assert text.startswith(OPENING)
    assert tokens == 5


def test_the_token_before_every_text_is_there_once_if_the_template_writes_it_too(tmp_path):
    jinja = "{{ bos_token }}{% for m in messages %}{{ m.content | trim }} a{% endfor %} time"
    template = Value.string(jinja)
    copy = with_metadata(
        require(STORIES), tmp_path / "chat.gguf", tokenizer__chat_template=template
    )
    with load_files(weights=(copy,)) as model:
        text, tokens = collect(model.chat([user(" Once upon ")]))
    assert text.startswith(OPENING)
    assert tokens == 5
