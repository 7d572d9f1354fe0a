"""Which `Authorization` goes with a request: one answer for each scope, until it expires.

See: https://distribution.github.io/distribution/spec/auth/token/
     https://distribution.github.io/distribution/spec/auth/oauth/
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import TypeAlias

from modelpack.errors import ModelPackError, NetworkError, NotFoundError, RegistryError
from modelpack.registry.challenge import Challenge
from modelpack.registry.credentials import Credential, Credentials

Fetch: TypeAlias = Callable[[Challenge, str, Credential | None], Mapping[str, object]]
"""Ask the token service: challenge, scope, credential → its JSON answer."""

_DEFAULT_LIFE_S = 60.0
_LONGEST_LIFE_S = 86_400.0
_MARGIN_S = 10.0
_REFUSED, _TOO_MANY, _SERVER = 400, 429, 500


class Authority:
    """The tokens for *repository* of *host*; threads may share it, each scope is fetched once."""

    def __init__(self, host: str, repository: str, fetch: Fetch) -> None:
        self._host = host
        self._repository = repository
        self._fetch = fetch
        self._lock = threading.Lock()
        self._basic = ""
        self._tokens: dict[str, tuple[str, float]] = {}
        self._challenges: dict[str, Challenge] = {}

    def current(self, scope: str, credentials: Credentials) -> str:
        """Return what works for *scope*, or nothing before it was challenged for.

        A token that has expired is fetched anew here, so that no body is sent in vain.
        """
        challenge = self._challenges.get(scope)
        known = self._known(scope)
        if known or challenge is None:
            return known
        return self.answer(challenge, scope, credentials, "")

    def _known(self, scope: str) -> str:
        if self._basic:
            return self._basic
        token, expires = self._tokens.get(scope, ("", 0.0))
        return f"Bearer {token}" if token and time.monotonic() < expires else ""

    def answer(
        self, challenge: Challenge, scope: str, credentials: Credentials, refused: str
    ) -> str:
        """Return the header that answers *challenge*, or nothing where there is only *refused*.

        Raises:
            AuthenticationError: the token service refuses the credentials.
        """
        with self._lock:
            known = self._known(scope)
            if known and known != refused:
                return known  # another thread was told the same, and has asked meanwhile
            credential = credentials.get(self._host, self._repository)
            if challenge.scheme == "basic":
                self._basic = credential.basic if credential else ""
                return self._basic if self._basic != refused else ""
            if not challenge.realm.startswith(("http://", "https://")):
                raise RegistryError(f"{self._host} names no usable token service")
            return f"Bearer {self._new_token(challenge, scope, credential)}"

    def _new_token(self, challenge: Challenge, scope: str, credential: Credential | None) -> str:
        try:
            answer = self._fetch(challenge, scope, credential)
        except (RegistryError, NotFoundError) as error:
            if credential is None or not scope.endswith(":pull") or not _is_refusal(error):
                raise
            answer = self._fetch(challenge, scope, None)  # a stale login, a public repository
        token = answer.get("token") or answer.get("access_token")
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            raise RegistryError(f"the token service of {self._host} gave no token")
        life = answer.get("expires_in")
        seconds = _DEFAULT_LIFE_S
        if isinstance(life, int | float) and life > 0:
            seconds = min(life, _LONGEST_LIFE_S)
        self._challenges[scope] = challenge
        self._tokens[scope] = (token, time.monotonic() + max(seconds - _MARGIN_S, 1.0))
        return token


def _is_refusal(error: ModelPackError) -> bool:
    """Tell whether the token service does not want the credential, in whichever words.

    An identity token that has expired is a bad request: RFC 6749, section 5.2.
    """
    if isinstance(error, NotFoundError):
        return True
    status = None if isinstance(error, NetworkError) else getattr(error, "status", None)
    return status is not None and _REFUSED <= status < _SERVER and status != _TOO_MANY
