"""Keep and forget the password of a registry."""

from __future__ import annotations

from dataclasses import replace

from modelpack.errors import InputError
from modelpack.oci.reference import Reference
from modelpack.ops.context import Context
from modelpack.registry.credentials import Credential, Credentials
from modelpack.registry.repository import Repository


def login(context: Context, registry: str, username: str, password: str) -> str:
    """Check the password with *registry* and keep it; returns where it is kept.

    Raises:
        AuthenticationError: the registry refuses it.
        InputError: *registry* is not a host.
    """
    host = _host(registry)
    credential = Credential(username, password)
    connection = replace(context.connection(host), credentials=_Just(credential))
    with Repository(Reference(host, "", ""), connection) as repository:
        repository.ping()
    return Credentials(context.settings.environment).save(host, credential)


def logout(context: Context, registry: str) -> bool:
    """Forget the password of *registry*; tells whether there was one."""
    return Credentials(context.settings.environment).erase(_host(registry))


def logins(context: Context, registry: str) -> list[str]:
    """Return the files of other programs, and ours, that still have a password of *registry*."""
    return Credentials(context.settings.environment).places(_host(registry))


class _Just(Credentials):
    """One credential, for the registry that is asked."""

    def __init__(self, credential: Credential) -> None:
        super().__init__({})
        self._credential = credential

    def get(self, _host: str, _repository: str = "") -> Credential:
        return self._credential


def _host(registry: str) -> str:
    host = registry.removeprefix("https://").removeprefix("http://").strip("/")
    try:
        return Reference.parse(f"{host}/x").host or _refuse(registry)
    except InputError:
        return _refuse(registry)


def _refuse(registry: str) -> str:
    raise InputError(f"not a registry host: {registry!r}", hint="host[:port], such as ghcr.io")
