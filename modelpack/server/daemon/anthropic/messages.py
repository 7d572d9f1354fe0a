"""`/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.errors import ModelPackError
from modelpack.runtime.worker.messages import Ask, AskTokens
from modelpack.server.daemon.abilities import able, require
from modelpack.server.daemon.answers import SSE, json_answer, unless_gone
from modelpack.server.daemon.anthropic.failures import error_json
from modelpack.server.daemon.anthropic.replies import Message
from modelpack.server.daemon.anthropic.requests import name_from, options_from, wish_from
from modelpack.server.daemon.catalog import Opened
from modelpack.server.daemon.fields import Fields, parse_body
from modelpack.server.daemon.openai.replies import event
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.several import gathered
from modelpack.server.daemon.speaking import Question
from modelpack.server.daemon.streaming import Form, streamed


class Messages:
    """Answers requests for messages."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes(
            {
                "/v1/messages": {"POST": self._answer},
                "/v1/messages/count_tokens": {"POST": self._count},
            },
            refuse,
        )

    async def _answer(self, request: Request) -> Response:
        fields = parse_body(await self._services.bodies.read(request))
        opened, wish = await self._opened(fields)
        options = options_from(fields, opened.parameters)
        question = Question(
            opened=opened,
            wish=wish,
            options=options,
            keep_s=self._services.keep_s,
        )
        message = Message(name_from(fields))
        if not fields.flag("stream"):
            answer = self._services.speaker.answer(question)
            (whole,) = await unless_gone(request, gathered([answer]))
            for replies in whole:
                message.take(replies)
            return json_answer(message.whole())

        def counted(tokens: int) -> None:
            message.input_tokens = tokens

        answer = self._services.speaker.answer(question, (tokens_of(wish), counted))
        form = Form(media_type=SSE, tell=message.take, fail=_failed, begin=message.begin)
        return await streamed(request, answer, form)

    async def _count(self, request: Request) -> Response:
        fields = parse_body(await self._services.bodies.read(request))
        opened, wish = await self._opened(fields)
        question = Question(opened=opened, wish=tokens_of(wish), keep_s=self._services.keep_s)
        tokens = await unless_gone(request, self._services.speaker.count(question))
        return json_answer({"input_tokens": tokens})

    async def _opened(self, fields: Fields) -> tuple[Opened, Ask]:
        name, wish = name_from(fields), wish_from(fields)
        opened = await self._services.catalog.open(name)
        require(opened, "text", "messages")
        able(opened, wish)
        return opened, wish


def tokens_of(wish: Ask) -> AskTokens:
    """Return the question how many tokens the prompt of *wish* has."""
    return AskTokens(messages=wish.messages, tools=wish.tools, think=wish.think)


def _failed(error: ModelPackError) -> bytes:
    return event(error_json(error), "error")
