"""The server as an ASGI application: every API over the same models."""

from __future__ import annotations

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

from modelpack.modelfile.parameters import ParameterValue
from modelpack.ops.context import Context
from modelpack.server.daemon import anthropic, ollama, openai
from modelpack.server.daemon.answers import json_answer
from modelpack.server.daemon.bodies import Bodies
from modelpack.server.daemon.catalog import Catalog
from modelpack.server.daemon.doorman import Doorman, Rules
from modelpack.server.daemon.health import Health
from modelpack.server.daemon.metrics import Metrics
from modelpack.server.daemon.places import Places
from modelpack.server.daemon.pool.pool import Pool
from modelpack.server.daemon.services import Services
from modelpack.server.daemon.settings import ServeSettings
from modelpack.server.daemon.speaking import Speaker

_log = logging.getLogger("modelpack.server")


def build(context: Context, settings: ServeSettings, pool: Pool, rules: Rules) -> ASGIApp:
    """Return the application that serves the models of *context* through *pool*."""
    metrics = Metrics()
    services = Services(
        catalog=Catalog(context, _log.warning),
        speaker=Speaker(pool, metrics, defaults_of(settings)),
        pool=pool,
        bodies=Bodies(logs=settings.log_requests),
        places=Places(settings.pull_hosts),
        metrics=metrics,
        keep_s=settings.keep_alive_s,
    )
    routes = [
        *Health(services.metrics, pool).routes(),
        *ollama.routes(services),
        *openai.routes(services),
        *anthropic.routes(services),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _no_route})
    app.router.redirect_slashes = False
    known = frozenset(route.path for route in routes)

    def route_of(path: str) -> str:
        if path in known:
            return path
        parent = path.rpartition("/")[0]
        return next((k for k in known if k.startswith(f"{parent}/{{")), "other")

    return Doorman(app, rules, metrics, route_of)


def defaults_of(settings: ServeSettings) -> dict[str, ParameterValue]:
    """Return the parameters that count where neither request nor model says any."""
    found: dict[str, ParameterValue] = {
        "kv_cache_type": settings.kv_cache_type,
        "flash_attention": settings.flash_attention,
    }
    if settings.context_length:
        found["num_ctx"] = settings.context_length
    return found


async def _no_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    allow = (error.headers or {}) if isinstance(error, HTTPException) else {}
    what = "method not allowed" if status == 405 else "not found"
    return json_answer(
        {"error": f"{request.method} {request.url.path[:200]}: {what}"}, status, allow
    )
