"""`/v1/chat/completions` and `/v1/completions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.errors import ModelPackError
from modelpack.modelfile.parameters import ParameterValue
from modelpack.server.daemon.abilities import able, require
from modelpack.server.daemon.answers import SSE, json_answer, unless_gone
from modelpack.server.daemon.catalog import Opened
from modelpack.server.daemon.fields import parse_body
from modelpack.server.daemon.openai.failures import error_json
from modelpack.server.daemon.openai.replies import Chat, Completion, event
from modelpack.server.daemon.openai.requests import (
    Asked,
    chat_from,
    completion_from,
    options_from,
)
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.several import Answer, gathered, together
from modelpack.server.daemon.speaking import Question, Replies
from modelpack.server.daemon.streaming import Form, streamed

_CHAT_LENGTH = ("max_tokens", "max_completion_tokens")
_LENGTH = ("max_tokens",)


class Teller(Protocol):
    """Writes the answers to one request."""

    def begin(self, index: int) -> bytes:
        """Return the first event of the choice *index*."""

    def events(self, index: int, replies: Replies) -> bytes:
        """Return the events for *replies* of the choice *index*."""

    def end(self) -> bytes:
        """Return what ends the stream."""

    def whole(self, answers: Sequence[Sequence[Replies]]) -> dict[str, object]:
        """Return whole answers as one object."""


class Chats:
    """Answers conversations, and goes on with texts."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes(
            {
                "/v1/chat/completions": {"POST": self._chat},
                "/v1/completions": {"POST": self._complete},
            },
            refuse,
        )

    async def _chat(self, request: Request) -> Response:
        fields = parse_body(await self._services.bodies.read(request))
        asked = chat_from(fields)
        opened = await self._open(asked, "chat")
        options = options_from(fields, _CHAT_LENGTH, opened.parameters)
        teller = Chat(asked.name, with_usage=asked.with_usage, logprobs=asked.wish.logprobs)
        return await self._answered(request, self._choices(opened, [asked], options), asked, teller)

    async def _complete(self, request: Request) -> Response:
        fields = parse_body(await self._services.bodies.read(request))
        asked = completion_from(fields)
        opened = await self._open(asked[0], "completion")
        options = options_from(fields, _LENGTH, opened.parameters)
        first = asked[0]
        teller = Completion(first.name, with_usage=first.with_usage, logprobs=first.wish.logprobs)
        return await self._answered(request, self._choices(opened, asked, options), first, teller)

    async def _open(self, asked: Asked, what: str) -> Opened:
        opened = await self._services.catalog.open(asked.name)
        require(opened, "text", what)
        able(opened, asked.wish)
        return opened

    def _choices(
        self, opened: Opened, asked: Sequence[Asked], options: dict[str, ParameterValue]
    ) -> list[Answer]:
        """Return an answer for each choice; those of one prompt differ by their seeds."""
        answers: list[Answer] = []
        for one in asked:
            for number in range(one.choices):
                said = _reseeded(options, number)
                question = Question(
                    opened=opened,
                    wish=one.wish,
                    options=said,
                    keep_s=self._services.keep_s,
                )
                answers.append(self._services.speaker.answer(question))
        return answers

    async def _answered(
        self, request: Request, answers: list[Answer], asked: Asked, teller: Teller
    ) -> Response:
        if not asked.stream:
            return json_answer(teller.whole(await unless_gone(request, gathered(answers))))

        def begin() -> bytes:
            return b"".join(map(teller.begin, range(len(answers))))

        def tell(said: tuple[int, Replies]) -> bytes:
            return teller.events(*said)

        form = Form(media_type=SSE, tell=tell, fail=_failed, begin=begin, end=teller.end)
        return await streamed(request, together(answers), form)


def _reseeded(options: dict[str, ParameterValue], number: int) -> dict[str, ParameterValue]:
    seed = options.get("seed")
    if not number or not isinstance(seed, int) or seed < 0:
        return options
    return {**options, "seed": seed + number}


def _failed(error: ModelPackError) -> bytes:
    return event(error_json(error))
