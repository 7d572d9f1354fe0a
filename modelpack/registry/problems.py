"""Turn the error answer of a registry into one of our errors.

Pure: status and body in, error out. Bodies come from outside and are cut, and credentials that a
URL may carry are left out.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
"""

from __future__ import annotations

import json

from modelpack.errors import (
    AuthenticationError,
    ModelPackError,
    NetworkError,
    NotFoundError,
    RegistryError,
)
from modelpack.registry.places import described

_SHOWN = 200
_UNAUTHORIZED = 401
_FORBIDDEN = 403
_NOT_FOUND = 404
_TOO_LARGE = 413
_TOO_MANY = 429
_SERVER = 500


def error_for(host: str, what: str, status: int, body: bytes) -> ModelPackError:
    """Return the error for *status* and *body*, the answer of *host* to *what* was asked."""
    said = describe(body)
    tail = f": {said}" if said else ""
    if status in (_UNAUTHORIZED, _FORBIDDEN):
        return AuthenticationError(
            f"{host} refused {what} ({status}){tail}",
            hint=f"modelpack login {host}",
            status=status,
        )
    if status == _NOT_FOUND:
        return NotFoundError(f"{host} does not have {what}{tail}")
    return RegistryError(
        f"{host} failed at {what} ({status}){tail}", hint=_hint(status), status=status
    )


def describe(body: bytes) -> str:
    """Return what an error body says, in one short line."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        return ""
    if looks_like_html(body):
        return "the answer is an HTML page, not a registry's"
    try:
        errors = json.loads(text)["errors"]
        parts = [f"{e.get('code', '')} {e.get('message', '')}".strip() for e in errors]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        parts = [text]
    line = _plain("; ".join(parts))
    return line if len(line) <= _SHOWN else line[:_SHOWN] + "…"


def not_a_registry(host: str) -> RegistryError:
    """Return the error for a *host* that answered with a page for people."""
    return RegistryError(
        f"{host} answered with an HTML page", hint="is that really an OCI registry?"
    )


def looks_like_html(body: bytes) -> bool:
    """Tell whether *body* is a page for people, as proxies and wikis answer."""
    return body.lstrip()[:1] == b"<"


def broken(host: str, error: BaseException) -> NetworkError:
    """Return the error for a connection to *host* that ended with *error*."""
    return NetworkError(f"the connection to {host} broke: {reason(error)}", hint="try again")


def unreachable(host: str, url: str, error: BaseException) -> NetworkError:
    """Return the error for *url*, of the registry *host* or where that sent us: nobody is there."""
    place = described(host, url)
    hint = "is the registry running?" if place == host else f"{host} itself does answer"
    return NetworkError(f"cannot reach {place}: {reason(error)}", hint=hint)


def reason(error: BaseException) -> str:
    """Return what the innermost of the wrapped errors says."""
    inner: object = error
    while isinstance(inner, BaseException):
        error = inner
        found = (item for item in error.args if isinstance(item, BaseException))
        inner = getattr(error, "reason", None) or next(found, None)
    text = (error.strerror if isinstance(error, OSError) else "") or str(error)
    return _plain(text).rsplit(": ", 1)[-1].strip(".'> ")[:100] or type(error).__name__


def _plain(text: str) -> str:
    """Return *text*, which comes from outside, in one line and without what moves a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _hint(status: int) -> str | None:
    if status == _TOO_LARGE:
        return "something before the registry limits uploads; try a smaller --layer-size"
    if status == _TOO_MANY:
        return "the registry limits how often it may be asked; try again later, or log in"
    return "the registry is in trouble; try again later" if status >= _SERVER else None
