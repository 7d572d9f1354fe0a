"""User names and passwords for registries, where docker and podman keep them.

Read are `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json` (else `~/.docker/config.json`) and
podman's `$XDG_RUNTIME_DIR/containers/auth.json`, each with `credHelpers`, `credsStore` and
`auths`, in that order; `login` and `logout` write the first where it is named, else docker's. An
entry may be for part of a registry only, as podman has them. No password ever appears in an error.

See: https://docs.docker.com/reference/cli/docker/login/#credential-stores
"""

from __future__ import annotations

import binascii
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from modelpack import limits
from modelpack.content.disk import home_folder, replacing
from modelpack.errors import InputError
from modelpack.registry.helpers import ask_helper, erase_with_helper, store_with_helper

_TOKEN_USER = "<token>"  # noqa: S105 - how helpers mark an identity token
_NOWHERE = Path(os.devnull)
_HUB = "https://index.docker.io/v1/"
_HUB_NAMES = ("docker.io", "index.docker.io", "registry-1.docker.io")


@dataclass(frozen=True, slots=True)
class Credential:
    """A user name with its password, or an identity token."""

    username: str
    password: str = field(repr=False, default="")
    identity_token: str = field(repr=False, default="")

    @property
    def basic(self) -> str:
        """The value of a Basic `Authorization` header."""
        pair = f"{self.username}:{self.password}".encode()
        return "Basic " + binascii.b2a_base64(pair, newline=False).decode()


class Credentials:
    """Credentials found with *environment*; files are read when first asked."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def get(self, host: str, repository: str = "") -> Credential | None:
        """Return the credential for *repository* of *host*, or None."""
        for path in self._files():
            found = self._in(path, host, repository)
            if found:
                return found
        return None

    def places(self, host: str) -> list[str]:
        """Return the files that have a credential for *host*, or whose helper has."""
        return [str(path) for path in self._files() if self._in(path, host)]

    def _in(self, path: Path, host: str, repository: str = "") -> Credential | None:
        config = _read(path)
        helper = _helper_for(config, host)
        if helper:
            found = ask_helper(helper, _keys(host), self._environment)
            if found:
                return _from_pair(*found)
        return _from_auths(config.get("auths"), [*_parts(host, repository), *_keys(host)])

    def save(self, host: str, credential: Credential) -> str:
        """Keep *credential* for *host*; returns where, for people to read."""
        path = self._files()[0]
        config = _read(path)
        helper = _helper_for(config, host)
        if helper:
            store_with_helper(
                helper,
                _keys(host)[0],
                (credential.username, credential.password),
                self._environment,
            )
            return f"the credential helper {helper!r}"
        pair = f"{credential.username}:{credential.password}".encode()
        auths = config.setdefault("auths", {})
        if not isinstance(auths, dict):
            raise InputError(f"{path} has an 'auths' that is not an object")
        auths[_keys(host)[0]] = {"auth": binascii.b2a_base64(pair, newline=False).decode()}
        _write(path, config)
        return str(path)

    def erase(self, host: str) -> bool:
        """Forget the credential for *host*; tells whether there was one."""
        path = self._files()[0]
        config = _read(path)
        helper = _helper_for(config, host)
        known = helper and ask_helper(helper, _keys(host), self._environment)
        if helper and known:
            erase_with_helper(helper, _keys(host)[0], self._environment)
        auths = config.get("auths")
        stale = [key for key in _keys(host) if isinstance(auths, dict) and key in auths]
        if isinstance(auths, dict) and stale:
            for key in stale:
                del auths[key]
            _write(path, config)
        return bool(known or stale)

    def _files(self) -> list[Path]:
        said = self._environment.get("REGISTRY_AUTH_FILE")
        runtime = self._environment.get("XDG_RUNTIME_DIR")
        files = [Path(said)] if said else []
        folder = self._environment.get("DOCKER_CONFIG") or home_in(self._environment) / ".docker"
        files.append(Path(folder) / "config.json")
        if runtime:
            files.append(Path(runtime) / "containers" / "auth.json")
        return files


def home_in(environment: Mapping[str, str]) -> Path:
    """Return the user's folder; one where nothing is, for a user without any."""
    return home_folder(environment) or _NOWHERE


def _keys(host: str) -> list[str]:
    """Return the names under which *host* may be stored, the usual one first."""
    if host in _HUB_NAMES:
        return [_HUB, *_HUB_NAMES]
    return [host, f"https://{host}", f"http://{host}", f"https://{host}/v1/", f"https://{host}/v2/"]


def _parts(host: str, repository: str) -> list[str]:
    """Return the names under which *repository* and what it is part of may be stored.

    See: https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
    """
    steps = repository.split("/") if repository else []
    return [f"{host}/{'/'.join(steps[:count])}" for count in range(len(steps), 0, -1)]


def _helper_for(config: Mapping[str, object], host: str) -> str:
    helpers = config.get("credHelpers")
    if isinstance(helpers, dict):
        for key in _keys(host):
            if isinstance(helpers.get(key), str):
                return str(helpers[key])
    store = config.get("credsStore")
    return store if isinstance(store, str) else ""


def _from_auths(auths: object, keys: Iterable[str]) -> Credential | None:
    if not isinstance(auths, dict):
        return None
    for key in keys:
        entry = auths.get(key)
        if not isinstance(entry, dict):
            continue
        token = entry.get("identitytoken")
        user, password = entry.get("username"), entry.get("password")
        if isinstance(entry.get("auth"), str) and entry["auth"]:
            try:
                pair = binascii.a2b_base64(entry["auth"], strict_mode=True).decode()
            except (binascii.Error, ValueError):
                continue
            user, _, password = pair.partition(":")
        if isinstance(token, str) and token:
            return Credential(str(user or _TOKEN_USER), identity_token=token)
        if user and isinstance(password, str):
            return Credential(str(user), password.rstrip("\0"))
    return None


def _from_pair(username: str, secret: str) -> Credential:
    if username == _TOKEN_USER:
        return Credential(username, identity_token=secret)
    return Credential(username, secret)


def _read(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            raw = file.read(limits.CREDENTIALS_FILE)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:  # writing what was not read would lose the other logins
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    try:
        value = json.loads(raw) if raw.strip() else {}
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON", hint="repair or remove it") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} is not a JSON object", hint="repair or remove it")
    return value


def _write(path: Path, config: Mapping[str, object]) -> None:
    target = path.resolve()  # people link their configuration from elsewhere
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(target, mode=0o600) as file:
            file.write(json.dumps(config, indent="\t").encode() + b"\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
