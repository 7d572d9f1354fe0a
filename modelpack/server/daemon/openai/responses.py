"""`/v1/responses`, without memory: what came before is in the request, or nowhere.

See: https://platform.openai.com/docs/api-reference/responses/create
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.errors import InputError
from modelpack.runtime.worker.messages import Ask
from modelpack.server.daemon.abilities import able, require
from modelpack.server.daemon.answers import SSE, json_answer, unless_gone
from modelpack.server.daemon.fields import Fields, parse_body
from modelpack.server.daemon.openai.replying import Reply
from modelpack.server.daemon.openai.requests import (
    arguments_from,
    format_from,
    message_from,
    options_from,
    think_from,
    tool_choice_from,
)
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.several import gathered
from modelpack.server.daemon.speaking import Question
from modelpack.server.daemon.streaming import Form, streamed
from modelpack.template.chat import ChatMessage, ToolCall

_MEMORY = ("previous_response_id", "conversation", "prompt")


class Responses:
    """Answers requests for responses."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes({"/v1/responses": {"POST": self._respond}}, refuse)

    async def _respond(self, request: Request) -> Response:
        services = self._services
        fields = parse_body(await services.bodies.read(request))
        name, wish = fields.text("model"), wish_from(fields)
        if not name:
            raise InputError("model is required")
        opened = await services.catalog.open(name)
        require(opened, "text", "responses")
        able(opened, wish)
        options = options_from(fields, ("max_output_tokens",), opened.parameters)
        question = Question(
            opened=opened,
            wish=wish,
            options=options,
            keep_s=services.keep_s,
        )
        answer = services.speaker.answer(question)
        reply = Reply(name, said_back(fields, options))
        if fields.flag("stream"):
            form = Form(media_type=SSE, tell=reply.take, fail=reply.fail, begin=reply.begin)
            return await streamed(request, answer, form)
        (whole,) = await unless_gone(request, gathered([answer]))
        for replies in whole:
            reply.take(replies)
        return json_answer(reply.whole())


def wish_from(fields: Fields) -> Ask:
    """Return what the body asks of a model.

    Raises:
        InputError: it makes no sense, or refers to what was said before without saying it.
    """
    for name in _MEMORY:
        if name in fields:
            raise InputError(f"{name} is not supported: send the whole conversation as input")
    messages = list(_messages(fields))
    if not messages:
        raise InputError("input must not be empty")
    instructions = fields.text("instructions")
    if instructions:
        messages.insert(0, ChatMessage(role="system", content=instructions))
    text = fields.nested("text")
    return Ask(
        messages=tuple(messages),
        tools=tuple(_tools(fields)),
        tool_choice=tool_choice_from(fields.get("tool_choice")),
        think=think_from(fields),
        format=format_from(text.nested("format") if text else None),
    )


def said_back(fields: Fields, options: Mapping[str, object]) -> dict[str, object]:
    """Return what a response repeats of its request."""
    text, reasoning = fields.nested("text"), fields.nested("reasoning")
    form = text.nested("format") if text else None
    return {
        "instructions": fields.text("instructions") or None,
        "max_output_tokens": fields.get("max_output_tokens"),
        "metadata": fields.get("metadata") or {},
        "parallel_tool_calls": fields.flag("parallel_tool_calls", default=True),
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort") if reasoning else None, "summary": None},
        "store": False,
        "temperature": options.get("temperature", 1.0),
        "text": {"format": form.value if form else {"type": "text"}},
        "tool_choice": fields.get("tool_choice") or "auto",
        "tools": [inner.value for inner in fields.objects("tools")],
        "top_p": options.get("top_p", 1.0),
        "truncation": fields.text("truncation") or "disabled",
        "user": fields.text("user") or None,
    }


def _messages(fields: Fields) -> Iterator[ChatMessage]:
    if isinstance(fields.get("input"), str):
        yield ChatMessage(role="user", content=fields.text("input"))
        return
    names: dict[str, str] = {}
    for item in fields.objects("input"):
        kind = item.text("type") or "message"
        if kind == "message":
            yield message_from(item)
        elif kind == "function_call":
            call = ToolCall(
                name=item.text("name"), arguments=arguments_from(item), id=item.text("call_id")
            )
            names[call.id] = call.name
            yield ChatMessage(role="assistant", tool_calls=(call,))
        elif kind == "function_call_output":
            called = item.text("call_id")
            yield ChatMessage(
                role="tool",
                content=item.text("output"),
                tool_call_id=called,
                tool_name=names.get(called, ""),
            )
        elif kind != "reasoning":
            raise item.bad("type", "message, function_call, function_call_output or reasoning")


def _tools(fields: Fields) -> Iterator[Mapping[str, object]]:
    for tool in fields.objects("tools"):
        if tool.text("type") != "function":
            raise tool.bad("type", "function: other tools are not to be had here")
        inner = {key: value for key, value in tool.value.items() if key != "type"}
        yield {"type": "function", "function": tool.get("function") or inner}
