"""The refusals of the distribution API, each with its code and HTTP status.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#error-codes
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from modelpack.errors import ModelPackError

_NOTHING: Mapping[str, str] = MappingProxyType({})


class RefusedError(ModelPackError):
    """A request that is answered with an error; knows status, code and headers of the answer."""

    def __init__(
        self, status: int, code: str, message: str, headers: Mapping[str, str] = _NOTHING
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers

    def to_json(self) -> dict[str, object]:
        """Return the body of the answer."""
        return {"errors": [{"code": self.code, "message": str(self)}]}


def name_invalid(name: str) -> RefusedError:
    """Return the refusal of a text that cannot name a repository."""
    return RefusedError(400, "NAME_INVALID", f"not a repository name: {name[:100]!r}")


def name_unknown(name: str) -> RefusedError:
    """Return the refusal of a repository that is not there."""
    return RefusedError(404, "NAME_UNKNOWN", f"no repository {name}")


def digest_invalid(text: str, why: str = "not a sha256 or sha512 digest") -> RefusedError:
    """Return the refusal of a digest that is malformed, or is not that of the content."""
    return RefusedError(400, "DIGEST_INVALID", f"{why}: {text[:150]!r}")


def blob_unknown(digest: object) -> RefusedError:
    """Return the refusal of a blob that the repository does not have."""
    return RefusedError(404, "BLOB_UNKNOWN", f"no blob {digest} in this repository")


def upload_unknown() -> RefusedError:
    """Return the refusal of an upload that was never started, or is over."""
    return RefusedError(404, "BLOB_UPLOAD_UNKNOWN", "no such upload")


def upload_invalid(message: str) -> RefusedError:
    """Return the refusal of an upload request that contradicts itself."""
    return RefusedError(400, "BLOB_UPLOAD_INVALID", message)


def superseded() -> RefusedError:
    """Return the refusal of a request whose upload another one goes on with."""
    message = "another request goes on with this upload"
    return RefusedError(409, "BLOB_UPLOAD_INVALID", message, {"Connection": "close"})


def manifest_unknown(reference: object) -> RefusedError:
    """Return the refusal of a manifest that the repository does not have."""
    return RefusedError(404, "MANIFEST_UNKNOWN", f"no manifest {reference} in this repository")


def manifest_invalid(message: str) -> RefusedError:
    """Return the refusal of a body that is not a manifest."""
    return RefusedError(400, "MANIFEST_INVALID", message)


def manifest_blob_unknown(digest: object) -> RefusedError:
    """Return the refusal of a manifest that refers to what the repository does not have."""
    return RefusedError(
        404, "MANIFEST_BLOB_UNKNOWN", f"push {digest} to this repository before the manifest"
    )


def too_large(what: str, limit: int) -> RefusedError:
    """Return the refusal of a body over its limit."""
    return RefusedError(413, "SIZE_INVALID", f"{what} is larger than {limit:,} bytes")


def too_slow() -> RefusedError:
    """Return the refusal of a body that stopped, or trickles."""
    message = "the body does not come in time"
    return RefusedError(408, "UNKNOWN", message, {"Connection": "close"})


def unauthorized() -> RefusedError:
    """Return the refusal of a request without a known user and password."""
    return RefusedError(
        401,
        "UNAUTHORIZED",
        "this registry wants a user name and a password",
        {"WWW-Authenticate": 'Basic realm="modelpack registry", charset="UTF-8"'},
    )
