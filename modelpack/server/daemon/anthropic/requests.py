"""What clients of Anthropic's API send, read into what a model is asked.

See: https://docs.anthropic.com/en/api/messages
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from modelpack.errors import InputError
from modelpack.modelfile.parameters import ParameterValue
from modelpack.runtime.worker.messages import Ask
from modelpack.server.daemon.fields import Fields
from modelpack.template.chat import ChatMessage, Think, ToolCall

_EFFORTS = ("low", "medium", "high", "max")


def wish_from(fields: Fields) -> Ask:
    """Return what the body asks of a model.

    Raises:
        InputError: it makes no sense.
    """
    messages = list(_messages(fields))
    if not messages:
        raise InputError("messages: at least one message is required")
    system = _system(fields)
    if system:
        messages.insert(0, ChatMessage(role="system", content=system))
    return Ask(
        messages=tuple(messages),
        tools=tuple(_tools(fields)),
        tool_choice=_choice(fields.nested("tool_choice")),
        think=_think(fields),
    )


def options_from(fields: Fields, model: Mapping[str, ParameterValue]) -> dict[str, ParameterValue]:
    """Return the parameters in *fields*; what they do not say stays as the *model* has it."""
    if "max_tokens" not in fields:
        raise InputError("max_tokens: Field required")
    found: dict[str, ParameterValue] = {
        "num_predict": fields.integer("max_tokens", 0, 1, 2**31),
    }
    for name in ("temperature", "top_p"):
        number = fields.number(name)
        if number is not None:
            found[name] = number
        elif name not in model:
            found[name] = 1.0
    if "top_k" in fields:
        found["top_k"] = fields.integer("top_k", 0, 0, 2**31)
    if "stop_sequences" in fields:
        found["stop"] = fields.texts("stop_sequences")
    return found


def name_from(fields: Fields) -> str:
    """Return the name of the model.

    Raises:
        InputError: none is given.
    """
    name = fields.text("model")
    if not name:
        raise InputError("model: Field required")
    return name


def _system(fields: Fields) -> str:
    if isinstance(fields.get("system"), str | None):
        return fields.text("system")
    return "\n\n".join(block.text("text") for block in fields.objects("system"))


def _messages(fields: Fields) -> Iterator[ChatMessage]:
    names: dict[str, str] = {}
    for message in fields.objects("messages"):
        role = message.text("role")
        if role not in ("user", "assistant", "system"):
            raise message.bad("role", "user or assistant")
        if isinstance(message.get("content"), str):
            yield ChatMessage(role=role, content=message.text("content"))
            continue
        yield from _blocks(message, role, names)


def _blocks(message: Fields, role: str, names: dict[str, str]) -> Iterator[ChatMessage]:
    """Yield the messages that the blocks of one are: results of tools are messages of their own."""
    texts: list[str] = []
    thoughts: list[str] = []
    images: list[bytes] = []
    calls: list[ToolCall] = []
    for block in message.objects("content"):
        kind = block.text("type")
        if kind == "text":
            texts.append(block.text("text"))
        elif kind == "thinking":
            thoughts.append(block.text("thinking"))
        elif kind == "image":
            images.append(_image(block))
        elif kind == "tool_use":
            calls.append(_call(block))
            names[calls[-1].id] = calls[-1].name
        elif kind == "tool_result":
            yield _result(block, names)
        elif kind != "redacted_thinking":
            raise block.bad("type", "text, image, thinking, tool_use or tool_result")
    if texts or thoughts or images or calls:
        yield ChatMessage(
            role=role,
            content="\n".join(texts),
            thinking="".join(thoughts),
            tool_calls=tuple(calls),
            images=tuple(images),
        )


def _result(block: Fields, names: Mapping[str, str]) -> ChatMessage:
    called = block.text("tool_use_id")
    if isinstance(block.get("content"), str | None):
        text = block.text("content")
    else:
        text = "\n".join(inner.text("text") for inner in block.objects("content"))
    if block.flag("is_error"):
        text = f"Error: {text}"
    return ChatMessage(
        role="tool", content=text, tool_call_id=called, tool_name=names.get(called, "")
    )


def _call(block: Fields) -> ToolCall:
    arguments = block.nested("input")
    return ToolCall(
        name=block.text("name"),
        arguments=arguments.value if arguments else {},
        id=block.text("id"),
    )


def _image(block: Fields) -> bytes:
    source = block.nested("source")
    if source is None or source.text("type") != "base64":
        raise block.bad("source", "base64: nothing is fetched from elsewhere")
    return source.file("data", source.text("data"))


def _tools(fields: Fields) -> Iterator[Mapping[str, object]]:
    for tool in fields.objects("tools"):
        if tool.text("type") not in ("", "custom"):
            raise tool.bad("type", "custom: other tools are not to be had here")
        schema = tool.nested("input_schema")
        yield {
            "type": "function",
            "function": {
                "name": tool.text("name"),
                "description": tool.text("description"),
                "parameters": schema.value if schema else {"type": "object"},
            },
        }


def _choice(fields: Fields | None) -> str:
    kind = fields.text("type") if fields else "auto"
    if fields is not None and kind == "tool":
        return fields.text("name")
    choices = {"auto": "", "any": "required", "none": "none"}
    if kind not in choices:
        raise InputError("tool_choice.type must be auto, any, tool or none")
    return choices[kind]


def _think(fields: Fields) -> Think:
    inner = fields.nested("thinking")
    kind = inner.text("type") if inner else ""
    if kind == "disabled":
        return False
    config = fields.nested("output_config")
    effort = config.text("effort") if config else ""
    if effort:
        if effort not in _EFFORTS:
            raise InputError(f"output_config.effort must be one of {', '.join(_EFFORTS)}")
        return effort if kind else False
    return kind in ("enabled", "adaptive")
