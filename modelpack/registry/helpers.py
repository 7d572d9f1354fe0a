"""docker's credential helpers: programs called `docker-credential-<name>`.

See: https://github.com/docker/docker-credential-helpers#development
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from modelpack import limits
from modelpack.errors import InputError

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*\Z"


def ask_helper(
    helper: str, keys: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return what *helper* has for the first of *keys* that it knows, or None.

    Raises:
        InputError: the helper is not installed, hangs, or answers nonsense.
    """
    for key in keys[:2]:
        status, output = _run(helper, "get", key, environment)
        if status != 0:
            continue
        try:
            answer = json.loads(output)
            return str(answer["Username"]), str(answer["Secret"])
        except (ValueError, KeyError, TypeError, RecursionError):
            raise InputError(f"credential helper {helper!r} answered something else") from None
    return None


def store_with_helper(
    helper: str, key: str, pair: tuple[str, str], environment: Mapping[str, str]
) -> None:
    """Give *helper* the user name and secret in *pair* to keep for *key*."""
    entry = json.dumps({"ServerURL": key, "Username": pair[0], "Secret": pair[1]})
    status, _ = _run(helper, "store", entry, environment)
    if status != 0:
        raise InputError(f"credential helper {helper!r} did not keep the password")


def erase_with_helper(helper: str, key: str, environment: Mapping[str, str]) -> None:
    """Let *helper* forget *key*."""
    _run(helper, "erase", key, environment)


def _run(helper: str, verb: str, text: str, environment: Mapping[str, str]) -> tuple[int, bytes]:
    import subprocess

    if not re.match(_NAME, helper):
        raise InputError(f"not the name of a credential helper: {helper[:80]!r}")
    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, verb],
            input=text.encode(),
            capture_output=True,
            check=False,
            env=dict(environment),
            timeout=limits.HELPER_TIMEOUT_S,
        )
    except FileNotFoundError:
        raise InputError(
            f"{program} is not installed, but docker's config.json names it",
            hint="install it, or remove it from credsStore and credHelpers",
        ) from None
    except subprocess.TimeoutExpired:
        raise InputError(
            f"{program} did not answer within {limits.HELPER_TIMEOUT_S:.0f} s"
        ) from None
    except OSError as error:
        raise InputError(f"{program} cannot be started: {error.strerror}") from None
    return done.returncode, done.stdout[: limits.TOKEN_BODY]
