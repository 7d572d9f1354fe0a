"""Who may use the registry: HTTP basic authentication against an htpasswd file.

Only bcrypt lines are accepted (`htpasswd -Bbn user password`). Everybody in the file may do
everything. A password that was right once is remembered as a keyed digest, since bcrypt takes a
tenth of a second by design.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import bcrypt
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from modelpack import limits
from modelpack.errors import InputError
from modelpack.server.registry import errors
from modelpack.server.registry.answers import refusal

_SCHEMES = (b"$2a$", b"$2b$", b"$2y$")
_BCRYPT_BYTES = 72
"""What bcrypt looks at; htpasswd cuts longer passwords here too."""
_AT_A_TIME = 2


class Htpasswd:
    """The users of an htpasswd file, as it was when the registry started."""

    def __init__(self, hashes: Mapping[str, bytes]) -> None:
        self._hashes = dict(hashes)
        self._stranger = next(iter(self._hashes.values()))
        self._key = secrets.token_bytes(32)
        self._proved: dict[str, bytes] = {}

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the file *path*.

        Raises:
            InputError: it cannot be read, is empty, or has a line that is not bcrypt.
        """
        try:
            with path.open("rb") as file:
                data = file.read(limits.CREDENTIALS_FILE)
            lines = data.decode().splitlines()
        except (OSError, ValueError) as error:
            raise InputError(f"cannot read the htpasswd file {path}: {error}") from None
        hashes = {}
        for number, line in enumerate(lines, 1):
            if not line.strip() or line.startswith("#"):
                continue
            user, _, digest = line.strip().partition(":")
            if not user or not digest.encode().startswith(_SCHEMES):
                raise InputError(
                    f"{path}, line {number}: not a user with a bcrypt password",
                    hint="write it with htpasswd -B",
                )
            hashes[user] = digest.encode()
        if not hashes:
            raise InputError(f"no users in {path}", hint="htpasswd -Bbn user password > file")
        return cls(hashes)

    def remembers(self, user: str, password: bytes) -> bool:
        """Tell whether `verify` has accepted this *password* before; takes microseconds."""
        return hmac.compare_digest(self._proved.get(user, b""), self._token(user, password))

    def verify(self, user: str, password: bytes) -> bool:
        """Tell whether *password* is that of *user*; takes as long for a user who is not there."""
        known = user in self._hashes
        expected = self._hashes.get(user, self._stranger)
        try:
            good = bcrypt.checkpw(password[:_BCRYPT_BYTES], expected)
        except ValueError:  # a line that only looked like bcrypt
            return False
        if good and known:
            self._proved[user] = self._token(user, password)
        return good and known

    def _token(self, user: str, password: bytes) -> bytes:
        return hmac.digest(self._key, user.encode() + b"\0" + password, hashlib.sha256)


class BasicAuthentication:
    """Lets only requests through whose user and password are known."""

    def __init__(self, app: ASGIApp, users: Htpasswd) -> None:
        self._app = app
        self._users = users
        self._slots = asyncio.Semaphore(_AT_A_TIME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with 401, or hand on."""
        credentials = parse_basic(Headers(scope=scope).get("authorization", ""))
        if credentials is None or not await self._accepts(*credentials):
            await refusal(errors.unauthorized())(scope, receive, send)
            return
        await self._app(scope, receive, send)

    async def _accepts(self, user: str, password: bytes) -> bool:
        if self._users.remembers(user, password):
            return True
        async with self._slots:
            return await run_in_threadpool(self._users.verify, user, password)


def parse_basic(header: str) -> tuple[str, bytes] | None:
    """Return user and password of an `Authorization` header, or None if it has none."""
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).partition(b":")
        return (user.decode(), password) if colon else None
    except (binascii.Error, ValueError):
        return None
