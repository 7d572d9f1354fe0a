"""`/api/chat`, `/api/generate`, `/api/embed` and `/api/embeddings`."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack.errors import ModelPackError
from modelpack.runtime.worker.messages import Ask
from modelpack.server.daemon.abilities import able, require
from modelpack.server.daemon.answers import NDJSON, dumps, json_answer, unless_gone
from modelpack.server.daemon.bodies import Bodies
from modelpack.server.daemon.catalog import Catalog, Opened
from modelpack.server.daemon.failures import message_of
from modelpack.server.daemon.fields import parse_body
from modelpack.server.daemon.ollama.replies import Teller
from modelpack.server.daemon.ollama.requests import (
    Prompted,
    Vectors,
    chat_from,
    embed_from,
    embeddings_from,
    generate_from,
)
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.several import gathered
from modelpack.server.daemon.speaking import Question, Speaker
from modelpack.server.daemon.streaming import Form, streamed

_NS = 1_000_000_000


class Inference:
    """Answers with the models of *catalog*."""

    def __init__(self, catalog: Catalog, speaker: Speaker, bodies: Bodies, keep_s: float) -> None:
        self._catalog = catalog
        self._speaker = speaker
        self._bodies = bodies
        self._keep_s = keep_s

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes(
            {
                "/api/chat": {"POST": self._chat},
                "/api/generate": {"POST": self._generate},
                "/api/embed": {"POST": self._embed},
                "/api/embeddings": {"POST": self._embeddings},
            },
            refuse,
        )

    async def _chat(self, request: Request) -> Response:
        return await self._prompted(
            request, chat_from(parse_body(await self._bodies.read(request)))
        )

    async def _generate(self, request: Request) -> Response:
        asked = generate_from(parse_body(await self._bodies.read(request)))
        return await self._prompted(request, asked)

    async def _prompted(self, request: Request, asked: Prompted) -> Response:
        opened = await self._catalog.open(asked.name)
        keep_s = self._keep_s if asked.keep_s is None else asked.keep_s
        teller = Teller(
            asked.name, chats=asked.chats, logprobs=asked.wish is not None and asked.wish.logprobs
        )
        require(opened, "text", "chat" if asked.chats else "generate")
        if asked.wish is None:
            return await self._load(request, opened, asked, keep_s, teller)
        able(opened, asked.wish)
        question = Question(
            opened=opened,
            wish=asked.wish,
            options=asked.options,
            keep_s=keep_s,
        )
        answer = self._speaker.answer(question)
        if asked.stream:
            form = Form(media_type=NDJSON, tell=teller.lines, fail=_failed)
            return await streamed(request, answer, form)
        (whole,) = await unless_gone(request, gathered([answer]))
        return json_answer(teller.whole(whole))

    async def _load(
        self, request: Request, opened: Opened, asked: Prompted, keep_s: float, teller: Teller
    ) -> Response:
        """Load the model, or let it go where it shall stay for no time."""
        if keep_s == 0:
            self._speaker.pool.expire(opened.model.digest)
            return _told(teller.loaded("unload"), stream=asked.stream)
        question = Question(opened=opened, wish=Ask(), options=asked.options, keep_s=keep_s)
        await unless_gone(request, self._speaker.load(question))
        return _told(teller.loaded("load"), stream=asked.stream)

    async def _embed(self, request: Request) -> Response:
        began = time.perf_counter_ns()
        asked = embed_from(parse_body(await self._bodies.read(request)))
        vectors, tokens, waited_s = await self._vectors(request, asked)
        return json_answer(
            {
                "model": asked.name,
                "embeddings": vectors,
                "total_duration": time.perf_counter_ns() - began,
                "load_duration": int(waited_s * _NS),
                "prompt_eval_count": tokens,
            }
        )

    async def _embeddings(self, request: Request) -> Response:
        asked = embeddings_from(parse_body(await self._bodies.read(request)))
        vectors, _, _ = await self._vectors(request, asked)
        return json_answer({"embedding": vectors[0] if vectors else []})

    async def _vectors(
        self, request: Request, asked: Vectors
    ) -> tuple[list[list[float]], int, float]:
        opened = await self._catalog.open(asked.name)
        require(opened, "vectors", "embeddings")
        keep_s = self._keep_s if asked.keep_s is None else asked.keep_s
        question = Question(opened=opened, wish=asked.wish, options=asked.options, keep_s=keep_s)
        if not asked.wish.texts:
            return [], 0, await unless_gone(request, self._speaker.load(question))
        found, waited_s = await unless_gone(request, self._speaker.vectors(question))
        return found.vectors, sum(found.tokens), waited_s


def _failed(error: ModelPackError) -> bytes:
    return (dumps({"error": message_of(error)}) + "\n").encode()


def _told(said: dict[str, object], *, stream: bool) -> Response:
    if not stream:
        return json_answer(said)
    return Response((dumps(said) + "\n").encode(), media_type=NDJSON)
