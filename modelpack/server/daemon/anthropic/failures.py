"""Errors as Anthropic's clients know them.

See: https://docs.anthropic.com/en/api/errors
"""

from __future__ import annotations

import secrets

from starlette.responses import Response

from modelpack.server.daemon.answers import json_answer
from modelpack.server.daemon.failures import RefusedError, message_of, status_of

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
}


def error_json(error: Exception) -> dict[str, object]:
    """Return *error* as an object."""
    kind = _TYPES.get(status_of(error), "api_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message_of(error)},
        "request_id": f"req_{secrets.token_hex(12)}",
    }


def refuse(error: Exception) -> Response:
    """Return the answer that tells *error*."""
    headers = error.headers if isinstance(error, RefusedError) else None
    return json_answer(error_json(error), status_of(error), headers)
