"""Ollama's API.

See: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from modelpack.server.daemon.answers import json_answer
from modelpack.server.daemon.failures import RefusedError, message_of, status_of
from modelpack.server.daemon.ollama.inference import Inference
from modelpack.server.daemon.ollama.models import Models
from modelpack.server.daemon.ollama.transfer import Transfers
from modelpack.server.daemon.services import Services


def routes(services: Services) -> list[Route]:
    """Return the routes of Ollama's API."""
    catalog, bodies = services.catalog, services.bodies
    return [
        *Inference(catalog, services.speaker, bodies, services.keep_s).routes(_refuse),
        *Models(catalog, services.pool, bodies).routes(_refuse),
        *Transfers(catalog.context, services.places, bodies).routes(_refuse),
    ]


def _refuse(error: Exception) -> Response:
    headers = error.headers if isinstance(error, RefusedError) else None
    return json_answer({"error": message_of(error)}, status_of(error), headers)
