"""Requests to the model server: JSON there, JSON back, at once or line by line."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from modelpack import limits
from modelpack.address import Address
from modelpack.errors import InputError, ModelPackError, NotFoundError, ServerError

_OK = 300
_UNAUTHORIZED = (401, 403)
_NOT_FOUND = 404
_BAD = 400

Json = dict[str, Any]


class Client:
    """Asks the server at *address*, showing it *key* if there is one.

    One connection for each request. Every call raises `ServerError` where the server cannot be
    reached, and the error that it tells otherwise.
    """

    def __init__(self, address: Address, key: str = "") -> None:
        self.address = address.for_clients
        self._headers = {"Content-Type": "application/json"}
        if key:
            self._headers["Authorization"] = f"Bearer {key}"

    def version(self, timeout_s: float = 2.0) -> Json | None:
        """Return what the server says of itself; None where none answers."""
        try:
            connection, answer = self._send("GET", "/api/version", None, timeout_s)
        except ServerError:
            return None
        try:
            said = _json(answer.read(limits.ERROR_BODY)) if answer.status < _OK else {}
        except OSError:
            return None
        finally:
            connection.close()
        return said if isinstance(said, dict) else {}

    def ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> Json:
        """Return the answer to one request."""
        connection, answer = self._send(method, path, _dumps(body))
        try:
            said = _json(self._checked(answer).read(limits.FRAME)) or {}
        except OSError as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()
        return said if isinstance(said, dict) else {}

    def lines(self, path: str, body: Mapping[str, object]) -> Iterator[Json]:
        """Yield the lines of an answer as they come; closing the iterator hangs up."""
        connection, answer = self._send("POST", path, _dumps(body))
        try:
            self._checked(answer)
            while line := answer.readline(limits.FRAME):
                said = _json(line)
                if not isinstance(said, dict):
                    raise ServerError(f"nonsense came from {self.address.url}")
                if "error" in said:
                    raise ServerError(str(said["error"]))
                yield said
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from None
        finally:
            connection.close()

    def has_blob(self, digest: str) -> bool:
        """Tell whether the server has the blob *digest*."""
        connection, answer = self._send("HEAD", f"/api/blobs/{digest}", None)
        try:
            if answer.status != _NOT_FOUND:
                self._checked(answer)
        finally:
            connection.close()
        return answer.status != _NOT_FOUND

    def send_blob(self, digest: str, file: BinaryIO, size: int) -> None:
        """Send *size* bytes of *file* as the blob *digest*."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        connection, answer = self._send("POST", f"/api/blobs/{digest}", file, None, headers)
        try:
            self._checked(answer)
        finally:
            connection.close()

    def _send(
        self,
        method: str,
        path: str,
        body: bytes | BinaryIO | None,
        timeout_s: float | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        place = self.address
        secure = place.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(place.host, place.port, timeout=timeout_s or limits.CONNECT_TIMEOUT_S)
        try:
            connection.connect()
            if connection.sock is not None:
                connection.sock.settimeout(timeout_s)  # an answer may take as long as it takes
            every = {**self._headers, **(headers or {})}
            connection.request(method, f"{place.path}{path}", body, every)
            return connection, connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise self._unreachable(error) from None
        except BaseException:
            connection.close()
            raise

    def _checked(self, answer: http.client.HTTPResponse) -> http.client.HTTPResponse:
        if answer.status < _OK:
            return answer
        said = _json(answer.read(limits.ERROR_BODY))
        error = said.get("error") if isinstance(said, dict) else None
        raise _error(answer.status, str(error or answer.reason), self.address)

    def _unreachable(self, error: Exception) -> ServerError:
        return ServerError(
            f"cannot reach the server at {self.address.url}: {str(error) or type(error).__name__}",
            hint="`modelpack serve` starts one; MODELPACK_HOST says where it is",
        )


def _error(status: int, text: str, address: Address) -> ModelPackError:
    if status in _UNAUTHORIZED:
        return ServerError(f"{address.url}: {text}", hint="MODELPACK_API_KEY holds the key to show")
    if status == _NOT_FOUND:
        return NotFoundError(text)
    return InputError(text) if status == _BAD else ServerError(text)


def _dumps(body: Mapping[str, object] | None) -> bytes | None:
    return None if body is None else json.dumps(body).encode()


def _json(data: bytes) -> object:
    try:
        return json.loads(data) if data.strip() else None
    except (ValueError, RecursionError):
        return None
