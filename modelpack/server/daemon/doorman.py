"""The first that a request meets: it gets a number, is let in or not, and is taken note of."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from modelpack.server.daemon.answers import DIRECTLY, json_answer
from modelpack.server.daemon.guard import is_allowed_origin, is_local_host, key_of, scope_of
from modelpack.server.daemon.keys import Keys
from modelpack.server.daemon.metrics import Metrics

_log = logging.getLogger("modelpack.access")
_ID = re.compile(r"[A-Za-z0-9._-]{1,64}\Z")
_METHODS = "GET, POST, HEAD, DELETE, OPTIONS"
_ANY_HEADERS = (
    "authorization, content-type, user-agent, accept, x-requested-with, x-api-key, openai-beta,"
    " anthropic-version, anthropic-beta"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Who is let in."""

    checks_host: bool
    """Whether the host that is asked for must be this machine's: where only it can reach us."""
    origins: tuple[str, ...] = ()
    keys: Keys | None = None


@dataclass(slots=True)
class _Visit:
    """One request, as it is taken note of."""

    id: str
    method: str
    path: str
    began: float = field(default_factory=time.perf_counter)
    status: int = 499
    who: str = ""


class Doorman:
    """Lets requests through to *app* by *rules*."""

    def __init__(
        self, app: ASGIApp, rules: Rules, metrics: Metrics, route_of: Callable[[str], str]
    ) -> None:
        self._app = app
        self._rules = rules
        self._metrics = metrics
        self._route_of = route_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        said = headers.get("x-request-id", "")
        visit = _Visit(
            id=said if _ID.match(said) else secrets.token_hex(8),
            method=scope["method"],
            path=scope["path"],
        )
        scope["request_id"] = visit.id
        scope[DIRECTLY] = send
        origin = headers.get("origin", "")
        more = [(b"x-request-id", visit.id.encode())]
        refusal = self._refusal(visit, headers, origin)
        if origin and (refusal is None or refusal.status_code != 403):
            more += [(b"access-control-allow-origin", origin.encode("latin-1", "replace"))]
            more += [(b"vary", b"Origin")]

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        try:
            app = self._app if refusal is None else refusal
            await app(scope, receive, sending)
        finally:
            self._note(visit)

    def _refusal(self, visit: _Visit, headers: Headers, origin: str) -> Response | None:
        """Return the answer to a request that is not let in, or that only asks whether it is."""
        host = headers.get("host", "")
        if self._rules.checks_host and not is_local_host(host):
            return Response(status_code=403)
        if origin and not is_allowed_origin(origin, host, self._rules.origins):
            return Response(status_code=403)
        if visit.method == "OPTIONS" and "access-control-request-method" in headers:
            return Response(
                status_code=204,
                headers={
                    "access-control-allow-methods": _METHODS,
                    "access-control-allow-headers": headers.get(
                        "access-control-request-headers", _ANY_HEADERS
                    ),
                    "access-control-max-age": "43200",
                },
            )
        return self._keyless(visit, headers)

    def _keyless(self, visit: _Visit, headers: Headers) -> Response | None:
        keys, scope = self._rules.keys, scope_of(visit.path)
        if keys is None or not scope:
            return None
        shown = key_of(headers.get("authorization", ""), headers.get("x-api-key", ""))
        key = keys.find(shown) if shown else None
        if key is None:
            return json_answer(
                {"error": "unauthorized: an API key is needed"},
                401,
                {"www-authenticate": 'Bearer realm="modelpack"'},
            )
        visit.who = key.name
        if scope in key.scopes:
            return None
        return json_answer({"error": f"forbidden: the key does not allow {scope}"}, 403)

    def _note(self, visit: _Visit) -> None:
        took = time.perf_counter() - visit.began
        self._metrics.request(visit.method, self._route_of(visit.path), visit.status, took)
        if not _log.isEnabledFor(logging.INFO):
            return
        _log.info(
            "request",
            extra={
                "said": {
                    "id": visit.id,
                    "method": visit.method,
                    "path": visit.path[:200],
                    "status": visit.status,
                    "seconds": round(took, 6),
                    **({"key": visit.who} if visit.who else {}),
                }
            },
        )
