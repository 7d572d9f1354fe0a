"""Anthropic's API.

See: https://docs.anthropic.com/en/api
"""

from __future__ import annotations

from starlette.routing import Route

from modelpack.server.daemon.anthropic.failures import refuse
from modelpack.server.daemon.anthropic.messages import Messages
from modelpack.server.daemon.services import Services


def routes(services: Services) -> list[Route]:
    """Return the routes of Anthropic's API."""
    return Messages(services).routes(refuse)
