"""`/v1/models` and `/v1/embeddings`."""

from __future__ import annotations

import asyncio
import base64
from array import array

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from modelpack import limits
from modelpack.errors import InputError, NotFoundError
from modelpack.runtime.worker.messages import AskVectors
from modelpack.server.daemon.abilities import require
from modelpack.server.daemon.answers import json_answer, unless_gone
from modelpack.server.daemon.fields import parse_body
from modelpack.server.daemon.routing import Refuse, routes
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.speaking import Question

_NS = 1_000_000_000


class Models:
    """Lists models, and makes vectors with them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def routes(self, refuse: Refuse) -> list[Route]:
        """Return what is answered here."""
        return routes(
            {
                "/v1/models": {"GET": self._list},
                "/v1/models/{name:path}": {"GET": self._one},
                "/v1/embeddings": {"POST": self._embed},
            },
            refuse,
        )

    async def _list(self, request: Request) -> Response:
        del request
        found = await asyncio.to_thread(self._services.catalog.list)
        data = [model_json(one.name, one.modified_ns // _NS) for one in found]
        return json_answer({"object": "list", "data": data})

    async def _one(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        try:
            entry = self._services.catalog.context.find(name)
        except NotFoundError:
            raise NotFoundError(f"model '{name[:200]}' not found") from None
        return json_answer(model_json(name, int(entry.modified)))

    async def _embed(self, request: Request) -> Response:
        services = self._services
        fields = parse_body(await services.bodies.read(request))
        name, texts = fields.text("model"), fields.texts("input")
        if not name:
            raise InputError("model is required")
        if not texts:
            raise InputError("input must be a string or a list of strings, and not empty")
        if len(texts) > limits.EMBED_TEXTS:
            raise InputError(f"more than {limits.EMBED_TEXTS:,} texts in one request")
        form = fields.text("encoding_format", "float")
        if form not in ("float", "base64"):
            raise fields.bad("encoding_format", "float or base64")
        opened = await services.catalog.open(name)
        require(opened, "vectors", "embeddings")
        dimensions = fields.integer("dimensions", 0, 0, 1_000_000) or None
        wish = AskVectors(texts=tuple(texts), dimensions=dimensions)
        question = Question(opened=opened, wish=wish, keep_s=services.keep_s)
        found, _ = await unless_gone(request, services.speaker.vectors(question))
        tokens = sum(found.tokens)
        data = [
            {"object": "embedding", "index": index, "embedding": _written(vector, form)}
            for index, vector in enumerate(found.vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return json_answer({"object": "list", "data": data, "model": name, "usage": usage})


def model_json(name: str, created: int) -> dict[str, object]:
    """Return what is told of a model."""
    owner, slash, _ = name.rpartition("/")
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": owner if slash else "library",
    }


def _written(vector: list[float], form: str) -> object:
    return vector if form == "float" else base64.b64encode(array("f", vector).tobytes()).decode()
