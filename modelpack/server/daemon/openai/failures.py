"""Errors as OpenAI's clients know them.

See: https://platform.openai.com/docs/guides/error-codes
"""

from __future__ import annotations

from starlette.responses import Response

from modelpack.server.daemon.answers import json_answer
from modelpack.server.daemon.failures import RefusedError, message_of, status_of

_TYPES = {400: "invalid_request_error", 404: "not_found_error", 413: "invalid_request_error"}


def error_json(error: Exception) -> dict[str, object]:
    """Return *error* as an object."""
    kind = _TYPES.get(status_of(error), "api_error")
    return {"error": {"message": message_of(error), "type": kind, "param": None, "code": None}}


def refuse(error: Exception) -> Response:
    """Return the answer that tells *error*."""
    headers = error.headers if isinstance(error, RefusedError) else None
    return json_answer(error_json(error), status_of(error), headers)
