"""Puts the parts together, once."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from modelpack.config import Settings
from modelpack.content.transfer import CopyOptions
from modelpack.errors import InputError, NotFoundError, ReferenceFormatError
from modelpack.oci.manifest import Manifest
from modelpack.oci.reference import Reference
from modelpack.store.local import LocalStore
from modelpack.store.names import Entry

if TYPE_CHECKING:
    from modelpack.registry.referrers import ReferringRepository
    from modelpack.registry.session import Connection
    from modelpack.registry.trust import Identity, Named

_OLLAMA = "registry.ollama.ai"
_LIBRARY = f"{_OLLAMA}/library"
"""Where Ollama keeps names without a registry and a namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How to reach registries."""

    insecure: bool = False
    """Do without verified TLS, and without TLS where the registry has none."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust."""
    cert_file: str = ""
    """PEM file of the client certificate to show to registries."""
    key_file: str = ""
    """PEM file of its key, where that is another one."""
    concurrency: int = 4
    """Blobs that move at a time."""
    limit_rate: int = 0
    """Bytes a second that are sent or received at most; 0 for no limit."""
    avoids: Callable[[str], bool] | None = None
    """Tells whether nothing may be sent to an address."""


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

    def has(self, text: str) -> bool:
        """Tell whether the store has the model that *text* means."""
        try:
            return any(self.store.find(one) is not None for one in self._candidates(text))
        except InputError:
            return False

    def copying(
        self, action: Literal["push", "pull"], check: Callable[[Manifest], object] | None = None
    ) -> CopyOptions:
        """Return how to copy: what the network's settings say, for an *action* with a *check*."""
        return CopyOptions(
            action=action,
            check=check,
            concurrency=self.network.concurrency,
            limit_rate=self.network.limit_rate,
        )

    def repository(self, reference: Reference) -> ReferringRepository:
        """Return the repository of *reference*; close it."""
        from modelpack.registry.referrers import ReferringRepository

        return ReferringRepository(reference, self.connection(reference.host))

    def connection(self, host: str) -> Connection:
        """Return how the registry *host* is reached: as the flags say, else the configuration file.

        Raises:
            InputError: the configuration file does not say what it should.
        """
        from modelpack.registry.credentials import Credentials
        from modelpack.registry.policy import policy_for
        from modelpack.registry.session import Connection

        said = self.settings.registry_host(host)
        ca_file = self._named(self.network.ca_file, said.ca_file, "ca-file")
        certificate = self._named(self.network.cert_file, said.cert_file, "cert-file")
        with_key = self.network if self.network.cert_file else said  # one place has both
        key = self._named(self.network.key_file, with_key.key_file, "key-file")
        return Connection(
            credentials=Credentials(self.settings.environment),
            insecure=self.network.insecure or bool(said.insecure),
            ca_file=ca_file,
            identity=self._identity(certificate, key),
            environment=self.settings.environment,
            policy=policy_for(host).told(said.chunk_size, said.put_limit),
            avoids=self.network.avoids,
        )

    def _identity(self, certificate: Named | None, key: Named | None) -> Identity | None:
        if certificate is None:
            return None
        from modelpack.registry.trust import Identity

        return Identity(certificate, key or certificate)

    def _named(self, flag: str, setting: str, what: str) -> Named | None:
        if not (flag or setting):
            return None
        from modelpack.registry.trust import Named

        if flag:
            return Named(Path(flag), f"--{what}")
        return Named(Path(setting), f"{what} in {self.settings.config}")

    def _candidates(self, text: str) -> list[Reference]:
        try:
            plain = Reference.parse(text)
        except ReferenceFormatError:
            cased = self._cased(text)
            if cased is None:
                raise
            return [cased]
        if plain.host:
            return [plain]
        named = plain.on(self.settings.registry)
        theirs = _OLLAMA if "/" in plain.repository else _LIBRARY
        return list(dict.fromkeys((named, plain, plain.on(theirs))))

    def _cased(self, text: str) -> Reference | None:
        """Return the name in the store that *text*, which has upper case, is to Ollama."""
        for prefix in (_LIBRARY, _OLLAMA):
            with suppress(ReferenceFormatError):
                reference = Reference.parse(f"{prefix}/{text}")
                if self.store.find(reference) is not None:
                    return reference
        return None

    def _near(self, text: str) -> str:
        import difflib

        names = [entry.reference.name for entry in self.store.list(_ignore)]
        plain = [replace(Reference.parse(n), tag="").name for n in names]
        near = difflib.get_close_matches(text, dict.fromkeys(names + plain), n=3, cutoff=0.6)
        if near:
            return "did you mean " + " or ".join(near) + "?"
        return "`modelpack list` shows what is there; `modelpack pull` fetches more"


def short_name(reference: Reference) -> str:
    """Return *reference* as Ollama shows it: without its own registry and library."""
    for prefix in (f"{_LIBRARY}/", f"{_OLLAMA}/"):
        if reference.name.startswith(prefix):
            return reference.name.removeprefix(prefix)
    return reference.name


def _ignore(_warning: str) -> None:
    """Skip a warning that was not asked for."""
