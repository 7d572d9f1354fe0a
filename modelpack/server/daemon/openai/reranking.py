"""`/v1/rerank` and `/rerank`, which OpenAI does not have: the form is that of Jina and Cohere.

See: https://api.jina.ai/redoc#tag/rerank
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack import limits
from modelpack.errors import InputError
from modelpack.runtime.worker.messages import AskScores
from modelpack.server.daemon.abilities import require
from modelpack.server.daemon.answers import json_answer, unless_gone
from modelpack.server.daemon.fields import Fields, parse_body
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.speaking import Question


class Reranking:
    """Tells how well documents fit a query."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        paths = ("/v1/rerank", "/rerank")
        return routes({path: {"POST": self._rerank} for path in paths}, refuse)

    async def _rerank(self, request: Request) -> Response:
        services = self._services
        fields = parse_body(await services.bodies.read(request))
        name, query, documents = fields.text("model"), fields.text("query"), _documents(fields)
        if not name:
            raise InputError("model is required")
        if not query:
            raise InputError("query is required")
        most = fields.integer("top_n", len(documents), 1, 2**31)
        shown = fields.flag("return_documents")
        opened = await services.catalog.open(name)
        require(opened, "ranks", "reranking")
        wish = AskScores(query=query, documents=tuple(documents))
        question = Question(opened=opened, wish=wish, keep_s=services.keep_s)
        found, _ = await unless_gone(request, services.speaker.vectors(question))
        scores = [row[0] for row in found.vectors]
        best = sorted(range(len(scores)), key=lambda at: -scores[at])[:most]
        results: list[dict[str, object]] = [
            {
                "index": at,
                "relevance_score": scores[at],
                **({"document": {"text": documents[at]}} if shown else {}),
            }
            for at in best
        ]
        tokens = sum(found.tokens)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_answer({"model": name, "object": "list", "usage": usage, "results": results})


def _documents(fields: Fields) -> list[str]:
    """Return the texts to compare: each a string, or an object with one."""
    texts: list[str] = []
    for number, item in enumerate(fields.items("documents")):
        text = item.get("text") if isinstance(item, dict) else item
        if not isinstance(text, str) or not text:
            raise fields.bad(f"documents[{number}]", "a text, and not empty")
        texts.append(text)
    if not texts:
        raise InputError("documents must be a list of texts, and not empty")
    if len(texts) > limits.EMBED_TEXTS:
        raise InputError(f"more than {limits.EMBED_TEXTS:,} documents in one request")
    return texts
