"""API keys: a file of names, what each may do, and hashes; the keys themselves are kept nowhere.

::

    # name   scopes         hash
    ci       infer,manage   sha256:5e88…

A key is 32 random bytes, so that one round of SHA-256 keeps it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelpack import limits
from modelpack.content.disk import replacing
from modelpack.errors import InputError, NotFoundError

SCOPES: Final = ("infer", "manage", "metrics")
"""To ask models; to change which there are; to read the metrics."""

_PREFIX = "mp_"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_HASH = re.compile(r"sha256:[0-9a-f]{64}\Z")
_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Key:
    """Who may do what."""

    name: str
    scopes: tuple[str, ...]
    hash: str


class Keys:
    """The keys of one file; it is read again when it has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._by_hash: dict[str, Key] = {}
        self._refresh()

    def find(self, key: str) -> Key | None:
        """Return whose *key* it is, or None."""
        try:
            self._refresh()
        except (InputError, NotFoundError):
            return None  # a file that is half written, or gone, lets nobody in
        return self._by_hash.get(hash_of(key))

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
        except OSError as error:
            self._by_hash = {}
            raise NotFoundError(f"cannot read {self._path}: {error.strerror}") from None
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if stamp != self._stamp:
            self._by_hash = {}
            self._by_hash = {key.hash: key for key in read_keys(self._path)}
            self._stamp = stamp


def hash_of(key: str) -> str:
    """Return what the file says of *key*."""
    return f"sha256:{hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()}"


def read_keys(path: Path) -> list[Key]:
    """Return the keys in the file *path*.

    Raises:
        NotFoundError: it cannot be read.
        InputError: a line of it is not a key.
    """
    try:
        text = path.read_bytes()[: limits.CONFIG_FILE].decode("utf-8", "replace")
    except OSError as error:
        raise NotFoundError(f"cannot read {path}: {error.strerror}") from None
    found: list[Key] = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != _COLUMNS or not _HASH.match(words[2]):
            raise InputError(
                f"{path}, line {number}: not a key", hint="NAME SCOPE[,SCOPE] sha256:HASH"
            )
        scopes = _scopes(words[1].split(","), f"{path}, line {number}: ")
        found.append(Key(words[0], scopes, words[2]))
    return found


def add_key(path: Path, name: str, scopes: Iterable[str]) -> str:
    """Make a key, note it in the file *path*, and return it: it cannot be had again.

    Raises:
        InputError: *name* is taken, or no name, or a scope is not one.
    """
    if not _NAME.match(name):
        raise InputError(f"not a name for a key: {name[:80]!r}", hint="letters, digits, . _ and -")
    keys = read_keys(path) if path.exists() else []
    if any(key.name == name for key in keys):
        raise InputError(f"there is a key called {name}", hint=f"modelpack keys remove {name}")
    secret = _PREFIX + secrets.token_urlsafe(32)
    _write(path, [*keys, Key(name, _scopes(scopes, ""), hash_of(secret))])
    return secret


def remove_key(path: Path, name: str) -> None:
    """Forget the key *name*; a server that runs no longer lets it in.

    Raises:
        NotFoundError: there is none.
    """
    keys = read_keys(path)
    if not any(key.name == name for key in keys):
        raise NotFoundError(f"there is no key called {name[:80]}")
    _write(path, [key for key in keys if key.name != name])


def _scopes(said: Iterable[str], where: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(scope.strip() for scope in said))
    for scope in found:
        if scope not in SCOPES:
            raise InputError(
                f"{where}{scope[:40]!r} is no scope", hint=f"one of {', '.join(SCOPES)}"
            )
    return found


def _write(path: Path, keys: Iterable[Key]) -> None:
    rows = [f"{key.name} {','.join(key.scopes)} {key.hash}\n" for key in keys]
    text = "# name scopes hash\n" + "".join(rows)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, mode=0o600) as file:
            file.write(text.encode())
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None
