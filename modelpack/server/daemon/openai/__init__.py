"""OpenAI's API.

See: https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

from starlette.routing import Route

from modelpack.server.daemon.openai.chat import Chats
from modelpack.server.daemon.openai.failures import refuse
from modelpack.server.daemon.openai.models import Models
from modelpack.server.daemon.openai.reranking import Reranking
from modelpack.server.daemon.openai.responses import Responses
from modelpack.server.daemon.services import Services


def routes(services: Services) -> list[Route]:
    """Return the routes of OpenAI's API."""
    return [
        *Chats(services).routes(refuse),
        *Responses(services).routes(refuse),
        *Models(services).routes(refuse),
        *Reranking(services).routes(refuse),
    ]
