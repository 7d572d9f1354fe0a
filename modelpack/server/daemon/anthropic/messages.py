"""`/v1/messages` and `/v1/messages/count_tokens`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.errors import ModelPackError
from modelpack.runtime.worker.messages import Ask, AskTokens
from modelpack.server.daemon.abilities import able, require
from modelpack.server.daemon.answers import SSE, Stream, json_answer, unless_gone
from modelpack.server.daemon.anthropic.failures import error_json
from modelpack.server.daemon.anthropic.replies import Message
from modelpack.server.daemon.anthropic.requests import name_from, options_from, wish_from
from modelpack.server.daemon.catalog import Opened
from modelpack.server.daemon.fields import Fields, parse_body
from modelpack.server.daemon.openai.replies import event
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.speaking import Question, Replies


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
            wish=replace(wish, options=options),
            options=options,
            keep_s=self._services.keep_s,
        )
        message = Message(name_from(fields))
        if not fields.flag("stream"):
            await unless_gone(request, _all(self._services.speaker.answer(question), message))
            return json_answer(message.whole())

        def counted(tokens: int) -> None:
            message.input_tokens = tokens

        answer = self._services.speaker.answer(question, (tokens_of(wish), counted))
        first = await unless_gone(request, anext(answer))
        return Stream(_events(first, answer, message), SSE, answer)

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


async def _all(answer: AsyncGenerator[Replies, None], message: Message) -> None:
    async with aclosing(answer):
        async for replies in answer:
            message.take(replies)


async def _events(
    first: Replies, answer: AsyncGenerator[Replies, None], message: Message
) -> AsyncGenerator[bytes, None]:
    async with aclosing(answer):
        yield message.begin() + message.take(first)
        try:
            async for replies in answer:
                yield message.take(replies)
        except ModelPackError as error:
            yield event(error_json(error), "error")
