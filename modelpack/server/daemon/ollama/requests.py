"""What clients of Ollama's API send, read into what a model is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelpack import limits
from modelpack.errors import InputError
from modelpack.modelfile.parameters import ParameterValue
from modelpack.runtime.reply import Format
from modelpack.runtime.worker.messages import Ask, AskVectors
from modelpack.server.daemon.fields import Fields
from modelpack.server.daemon.ollama.options import options_from
from modelpack.sizes import parse_keep_alive
from modelpack.template.chat import ChatMessage, Think, ToolCall

_LEVELS = ("low", "medium", "high", "max")
_TOP_LOGPROBS = 20
_REPEATS = 30
"""Times that one token may come in a row before an answer ends."""
_ROLES = ("system", "user", "assistant", "tool")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompted:
    """A request for text."""

    name: str
    wish: Ask | None
    """None where nothing is asked: the model is to be loaded, or to go."""
    options: Mapping[str, ParameterValue] = field(hash=False)
    keep_s: float | None
    """None where nothing is said."""
    stream: bool
    chats: bool
    """Whether it came as a conversation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vectors:
    """A request for vectors."""

    name: str
    wish: AskVectors
    options: Mapping[str, ParameterValue] = field(hash=False)
    keep_s: float | None


def chat_from(fields: Fields) -> Prompted:
    """Return what the body of `/api/chat` asks for."""
    messages = tuple(_message(inner) for inner in fields.objects("messages"))
    tools = tuple(inner.value for inner in fields.objects("tools"))
    wish = _with_manner(Ask(messages=messages, tools=tools), fields)
    return _prompted(fields, wish if messages else None, chats=True)


def generate_from(fields: Fields) -> Prompted:
    """Return what the body of `/api/generate` asks for."""
    prompt, raw = fields.text("prompt"), fields.flag("raw")
    system, template = _optional(fields, "system"), _optional(fields, "template")
    context = tuple(_token(item) for item in fields.items("context"))
    images = fields.images("images")
    if raw and (system or template or context):
        raise InputError("raw mode does not support template, system, or context")
    if not prompt and not images:
        return _prompted(fields, None, chats=False)
    if raw:
        return _prompted(fields, _with_manner(Ask(raw=prompt), fields), chats=False)
    wish = Ask(
        messages=(ChatMessage(role="user", content=prompt, images=images),),
        system=system,
        template=template,
        suffix=fields.text("suffix") or None,
        context=context,
        wants_tokens=True,
    )
    return _prompted(fields, _with_manner(wish, fields), chats=False)


def embed_from(fields: Fields) -> Vectors:
    """Return what the body of `/api/embed` asks for; an empty text alone counts as none."""
    if fields.get("input") in (None, ""):
        texts: list[str] = []
    elif isinstance(fields.get("input"), str | list):
        texts = fields.texts("input")
    else:
        raise InputError("invalid input type")
    if len(texts) > limits.EMBED_TEXTS:
        raise InputError(f"more than {limits.EMBED_TEXTS:,} texts in one request")
    wish = AskVectors(
        texts=tuple(texts),
        truncate=fields.flag("truncate", default=True),
        dimensions=fields.integer("dimensions", 0, 0, 1_000_000) or None,
    )
    return _vectors(fields, wish)


def embeddings_from(fields: Fields) -> Vectors:
    """Return what the body of the older `/api/embeddings` asks for."""
    prompt = fields.text("prompt")
    return _vectors(fields, AskVectors(texts=(prompt,) if prompt else (), normalize=False))


def name_from(fields: Fields) -> str:
    """Return the name of the model, by either name of its field.

    Raises:
        InputError: none is given.
    """
    name = fields.text("model") or fields.text("name")
    if not name:
        raise InputError("model is required")
    return name


def keep_from(fields: Fields) -> float | None:
    """Return for how many seconds the model shall stay; None where nothing is said."""
    value = fields.get("keep_alive")
    return None if value is None or value == "" else parse_keep_alive(value)


def _prompted(fields: Fields, wish: Ask | None, *, chats: bool) -> Prompted:
    return Prompted(
        name=name_from(fields),
        wish=wish,
        options=options_from(fields.nested("options")),
        keep_s=keep_from(fields),
        stream=fields.flag("stream", default=True),
        chats=chats,
    )


def _vectors(fields: Fields, wish: AskVectors) -> Vectors:
    options = options_from(fields.nested("options"))
    return Vectors(name=name_from(fields), wish=wish, options=options, keep_s=keep_from(fields))


def _with_manner(wish: Ask, fields: Fields) -> Ask:
    """Return *wish* with what both kinds of requests have."""
    return replace(
        wish,
        think=_think(fields),
        format=format_from(fields.get("format")),
        logprobs=fields.flag("logprobs"),
        top_logprobs=fields.integer("top_logprobs", 0, 0, _TOP_LOGPROBS),
        truncate=fields.flag("truncate", default=True),
        shift=fields.flag("shift", default=True),
        repeats=_REPEATS,
    )


def format_from(value: object) -> Format:
    """Return what an answer must be: `json`, a schema, or None for any text."""
    if value is None or value == "":
        return None
    if value == "json" or isinstance(value, dict):
        return value
    raise InputError('invalid format: expected "json" or a JSON schema')


def _think(fields: Fields) -> Think:
    value = fields.get("think")
    if value is None or isinstance(value, bool) or value in _LEVELS:
        return value
    raise InputError(f'invalid think value: {value!r:.60} (must be "high", "medium", "low", "max",'
                     " true, or false)")  # fmt: skip


def _message(fields: Fields) -> ChatMessage:
    role = fields.text("role")
    if role not in _ROLES:
        raise InputError(f'invalid role "{role[:40]}": one of {", ".join(_ROLES)}')
    return ChatMessage(
        role=role,
        content=fields.text("content"),
        thinking=fields.text("thinking"),
        tool_calls=tuple(_call(inner) for inner in fields.objects("tool_calls")),
        tool_name=fields.text("tool_name"),
        tool_call_id=fields.text("tool_call_id"),
        images=fields.images("images"),
    )


def _call(fields: Fields) -> ToolCall:
    function = fields.nested("function")
    if function is None:
        raise fields.bad("function", "given")
    arguments = function.nested("arguments")
    return ToolCall(
        name=function.text("name"),
        arguments=arguments.value if arguments else {},
        id=fields.text("id"),
    )


def _optional(fields: Fields, name: str) -> str | None:
    return fields.text(name) or None


def _token(item: object) -> int:
    if isinstance(item, bool) or not isinstance(item, int) or not 0 <= item < 2**31:
        raise InputError("context must be a list of tokens")
    return item
