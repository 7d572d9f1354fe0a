"""Puts the parts together, once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

from modelpack.config import Settings
from modelpack.errors import InputError, NotFoundError
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore
from modelpack.store.names import Entry

if TYPE_CHECKING:
    from modelpack.registry.repository import Repository
    from modelpack.registry.session import Connection

_OLLAMA = "registry.ollama.ai/library"
"""Where Ollama keeps names without a registry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How to reach registries."""

    insecure: bool = False
    """Do without verified TLS, and without TLS where the registry has none."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust."""
    concurrency: int = 4
    """Blobs that move at a time."""


@dataclass(frozen=True, slots=True)
class Context:
    """Settings, and what is built from them."""

    settings: Settings
    store: LocalStore
    network: Network

    @classmethod
    def create(cls, settings: Settings | None = None, network: Network | None = None) -> Self:
        """Return a context for *settings*, by default the environment's."""
        chosen = settings or Settings.from_environment()
        return cls(chosen, LocalStore(chosen.models), network or Network())

    def parse(self, text: str) -> Reference:
        """Return the reference that *text* means, on the default registry if one is set."""
        return Reference.parse(text).on(self.settings.registry)

    def remote(self, text: str) -> Reference:
        """Return the reference that *text* means on a registry.

        Raises:
            InputError: it names no registry, and there is no default one.
        """
        reference = self.parse(text)
        if not reference.host:
            raise InputError(
                f"{text!r} names no registry",
                hint="write HOST/NAME, or set MODELPACK_REGISTRY",
            )
        return reference

    def find(self, text: str) -> Entry:
        """Return the local model that *text* means.

        Raises:
            NotFoundError: there is none; the hint has near names.
        """
        for reference in self._candidates(text):
            entry = self.store.find(reference)
            if entry is not None:
                return entry
        raise NotFoundError(f"model {text!r} is not in the store", hint=self._near(text))

    def repository(self, reference: Reference) -> Repository:
        """Return the repository of *reference*; close it."""
        from modelpack.registry.repository import Repository

        return Repository(reference, self.connection())

    def connection(self) -> Connection:
        """Return how registries are reached."""
        from modelpack.registry.credentials import Credentials
        from modelpack.registry.session import Connection

        return Connection(
            credentials=Credentials(self.settings.environment),
            insecure=self.network.insecure,
            ca_file=self.network.ca_file,
        )

    def _candidates(self, text: str) -> list[Reference]:
        plain = Reference.parse(text)
        named = plain.on(self.settings.registry)
        if plain.host:
            return [plain]
        return list(dict.fromkeys((named, plain, plain.on(_OLLAMA))))

    def _near(self, text: str) -> str:
        import difflib

        names = [entry.reference.name for entry in self.store.list(_ignore)]
        plain = [replace(Reference.parse(n), tag="").name for n in names]
        near = difflib.get_close_matches(text, dict.fromkeys(names + plain), n=3, cutoff=0.6)
        if near:
            return "did you mean " + " or ".join(near) + "?"
        return "`modelpack list` shows what is there; `modelpack pull` fetches more"


def _ignore(_warning: str) -> None:
    """Skip a warning that was not asked for."""
