"""What clients of OpenAI's API send, read into what a model is asked.

See: https://platform.openai.com/docs/api-reference/chat/create
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from modelpack.errors import InputError
from modelpack.modelfile.parameters import ParameterValue
from modelpack.runtime.reply import Format
from modelpack.runtime.worker.messages import Ask
from modelpack.server.daemon.fields import Fields, parse_json
from modelpack.template.chat import ChatMessage, Think, ToolCall

_TOP_LOGPROBS = 20
_CHOICES = 16
_BIAS = 100.0
_TOKEN = re.compile(r"[0-9]{1,10}")
_ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_EFFORTS: Mapping[str, Think] = {
    "none": False,
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
    "xhigh": "max",
    "ultra": "max",
}
_NUMBERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "min_p": "min_p",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "repeat_penalty": "repeat_penalty",
}
_UNSAID = {"temperature": 1.0, "top_p": 1.0}
"""What counts where neither the request nor the model says anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for text."""

    name: str
    wish: Ask
    options: Mapping[str, ParameterValue] = field(hash=False)
    choices: int = 1
    stream: bool = False
    with_usage: bool = False
    """Whether the end of a stream tells how many tokens it took."""


def chat_from(fields: Fields) -> Asked:
    """Return what the body of `/v1/chat/completions` asks for."""
    messages = tuple(message_from(inner) for inner in fields.objects("messages"))
    if not messages:
        raise InputError("messages must not be empty")
    logprobs = fields.flag("logprobs")
    choice = fields.get("tool_choice")
    wish = Ask(
        messages=messages,
        tools=tuple(inner.value for inner in fields.objects("tools")),
        tool_choice=tool_choice_from(choice),
        think=think_from(fields),
        format=format_from(fields.nested("response_format")),
        logit_bias=_bias(fields.nested("logit_bias")),
        logprobs=logprobs,
        top_logprobs=fields.integer("top_logprobs", 0, 0, _TOP_LOGPROBS) if logprobs else 0,
    )
    return _asked(fields, wish)


def completion_from(fields: Fields) -> list[Asked]:
    """Return what the body of `/v1/completions` asks for: one thing for each prompt."""
    prompts = _prompts(fields)
    if not prompts:
        raise _no_prompt(fields)
    if len(prompts) > _CHOICES:
        raise InputError(f"more than {_CHOICES} prompts in one request")
    top = fields.integer("logprobs", -1, 0, _TOP_LOGPROBS)
    manner = Ask(
        suffix=fields.text("suffix") or None,
        logit_bias=_bias(fields.nested("logit_bias")),
        logprobs=top >= 0,
        top_logprobs=max(0, top),
    )
    raw = fields.flag("raw")
    return [_asked(fields, _prompted(manner, prompt, raw=raw)) for prompt in prompts]


def options_from(
    fields: Fields, length: tuple[str, ...], model: Mapping[str, ParameterValue]
) -> dict[str, ParameterValue]:
    """Return the parameters in *fields*; *length* are names of the bound on tokens.

    What the request does not say stays as the *model* has it.
    """
    found: dict[str, ParameterValue] = {
        name: value for name, value in _UNSAID.items() if name not in model
    }
    for name, parameter in _NUMBERS.items():
        number = fields.number(name)
        if number is not None:
            found[parameter] = number
    for name, parameter in (("seed", "seed"), ("top_k", "top_k")):
        if name in fields:
            found[parameter] = fields.integer(name, 0, -(2**63), 2**63 - 1)
    for name in length:
        if name in fields:
            found["num_predict"] = fields.integer(name, 0, 1, 2**31)
    if "stop" in fields:
        found["stop"] = fields.texts("stop")
    return found


def message_from(fields: Fields) -> ChatMessage:
    """Return one message; `developer` counts as `system`."""
    said = fields.text("role")
    role = _ROLES.get(said)
    if role is None:
        raise fields.bad("role", f"one of {', '.join(_ROLES)}")
    text, images = content_from(fields)
    return ChatMessage(
        role=role,
        content=text,
        images=images,
        thinking=fields.text("reasoning") or fields.text("reasoning_content"),
        tool_calls=tuple(_call(inner) for inner in fields.objects("tool_calls")),
        tool_name=fields.text("name") if role == "tool" else "",
        tool_call_id=fields.text("tool_call_id"),
    )


def content_from(fields: Fields) -> tuple[str, tuple[bytes, ...]]:
    """Return the text and the pictures of a message's content."""
    content = fields.get("content")
    if content is None or isinstance(content, str):
        return content or "", ()
    texts: list[str] = []
    images: list[bytes] = []
    for part in fields.objects("content"):
        kind = part.text("type")
        if kind in ("text", "input_text", "output_text", "refusal"):
            texts.append(part.text("text") or part.text("refusal"))
        elif kind in ("image_url", "input_image"):
            images.append(_image(part))
        else:
            raise part.bad("type", "text or image_url")
    return "\n".join(texts), tuple(images)


def tool_choice_from(value: object) -> str:
    """Return what `tool_choice` means to a model."""
    if value is None or value == "auto":
        return ""
    if value in ("none", "required"):
        return str(value)
    if value == "any":
        return "required"
    if isinstance(value, dict):
        inner = value.get("function", value)
        name = inner.get("name") if isinstance(inner, dict) else None
        if isinstance(name, str) and name:
            return name
        if value.get("type") in ("auto", "none", "required"):
            return tool_choice_from(value["type"])
    raise InputError("tool_choice must be none, auto, required, or name a function")


def think_from(fields: Fields) -> Think:
    """Return whether the model shall think."""
    inner = fields.nested("reasoning")
    effort = fields.text("reasoning_effort") or (inner.text("effort") if inner else "")
    if not effort:
        return None
    if effort not in _EFFORTS:
        raise InputError(f"reasoning_effort must be one of {', '.join(_EFFORTS)}")
    return _EFFORTS[effort]


def format_from(fields: Fields | None) -> Format:
    """Return what the text of an answer must be."""
    kind = fields.text("type") if fields else ""
    if fields is None or kind in ("", "text"):
        return None
    if kind == "json_object":
        return "json"
    if kind != "json_schema":
        raise fields.bad("type", "text, json_object or json_schema")
    inner = fields.nested("json_schema") or fields
    schema = inner.nested("schema")
    if schema is None:
        raise fields.bad("json_schema.schema", "given")
    return dict(schema.value)


def _asked(fields: Fields, wish: Ask) -> Asked:
    name = fields.text("model")
    if not name:
        raise InputError("model is required")
    told = fields.nested("stream_options")
    return Asked(
        name=name,
        wish=wish,
        options={},
        choices=fields.integer("n", 1, 1, _CHOICES),
        stream=fields.flag("stream"),
        with_usage=told.flag("include_usage") if told else False,
    )


def _prompts(fields: Fields) -> list[str | tuple[int, ...]]:
    """Return the prompts: texts, or such as are tokens already."""
    prompt = fields.get("prompt")
    if isinstance(prompt, str):
        return [prompt]
    given = fields.items("prompt")
    if given and all(map(_is_token, given)):
        given = [given]
    return [_one_prompt(fields, item) for item in given]


def _one_prompt(fields: Fields, item: object) -> str | tuple[int, ...]:
    if isinstance(item, str):
        return item
    if isinstance(item, list) and item and all(map(_is_token, item)):
        return tuple(item)
    raise _no_prompt(fields)


def _is_token(item: object) -> bool:
    return isinstance(item, int) and not isinstance(item, bool) and 0 <= item < 2**31


def _no_prompt(fields: Fields) -> InputError:
    return fields.bad("prompt", "a string, a list of tokens or a list of such, and not empty")


def _prompted(manner: Ask, prompt: str | tuple[int, ...], *, raw: bool) -> Ask:
    if not isinstance(prompt, str):
        return replace(manner, raw="", context=prompt)
    if raw:
        return replace(manner, raw=prompt)
    return replace(manner, messages=(ChatMessage(role="user", content=prompt),))


def _image(part: Fields) -> bytes:
    inner = part.get("image_url")
    url = inner.get("url") if isinstance(inner, dict) else inner
    if not isinstance(url, str):
        raise part.bad("image_url", "a URL")
    if url.startswith(("http:", "https:")):
        raise part.bad("image_url", "a data URI: nothing is fetched from elsewhere")
    return part.file("image_url", url)


def _call(fields: Fields) -> ToolCall:
    function = fields.nested("function")
    if function is None:
        raise fields.bad("function", "given")
    return ToolCall(
        name=function.text("name"), arguments=arguments_from(function), id=fields.text("id")
    )


def arguments_from(fields: Fields) -> Mapping[str, object]:
    """Return the arguments of a call, which are JSON in a string."""
    text = fields.text("arguments")
    value = parse_json(text, fields.path("arguments")) if text.strip() else {}
    if not isinstance(value, dict):
        raise fields.bad("arguments", "a JSON object in a string")
    return value


def _bias(fields: Fields | None) -> dict[int, float]:
    found: dict[int, float] = {}
    for name in fields.value if fields else ():
        number = fields.number(name) if fields else None
        if not _TOKEN.fullmatch(name) or number is None:
            raise InputError("logit_bias must map tokens to numbers")
        found[int(name)] = max(-_BIAS, min(_BIAS, number))
    return found
