"""What users type to name a model: ``[host[:port]/]repository[:tag][@sha256:…]``.

::

    reference  = [host "/"] repository [":" tag] ["@" digest]
    host       = name or address [":" port], or "localhost"; contains "." or ":" or is "localhost"
    repository = component *("/" component)
    component  = [a-z0-9]+ (("." | "_" | "__" | "-"+) [a-z0-9]+)*
    tag        = [A-Za-z0-9_] [A-Za-z0-9._-]{0,127}

Hugging Face and Ollama have names with upper case and `_` anywhere; on their hosts those are
allowed.

As with docker, the first component is a host when it looks like one. A reference without a host
names a model by its place in the local store; `Reference.on` gives it a registry.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pulling-manifests
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Self

from modelpack import limits
from modelpack.errors import ReferenceFormatError
from modelpack.oci.digest import Digest

DEFAULT_TAG = "latest"

_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
_CASED = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}\Z")
_CASED_HOSTS = ("hf.co", "huggingface.co", "registry.ollama.ai")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
    r"|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{1,5}))?\Z"
)
_PORTS = 65_536


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A parsed reference; the tag is filled in unless a digest stands in its place."""

    host: str
    """Registry host with port, or empty for a name without one."""
    repository: str
    tag: str
    """Empty only where `digest` is given without a tag."""
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the reference written in *text*, with the tag `latest` where none is said.

        Raises:
            ReferenceFormatError: *text* does not follow the grammar above.
            DigestError: what stands behind the `@` is not a sha256 digest.
        """
        rest, at, digest_text = text.partition("@")
        digest = Digest.parse(digest_text) if at else None
        host, rest = _split_host(rest)
        repository, colon, tag = rest.partition(":")
        _check_repository(repository, text, _CASED if host in _CASED_HOSTS else _COMPONENT)
        if colon and not _TAG.match(tag):
            raise _bad(text, f"{tag[:64]!r} is not a tag", "a tag is letters, digits, . _ -")
        if len(host) + 1 + len(repository) > limits.REFERENCE:
            raise _bad(text, f"longer than {limits.REFERENCE} characters", "use a shorter name")
        if host and not _valid_host(host):
            raise _bad(text, f"{host!r} is not a registry host", "host[:port], as in a URL")
        if not colon:
            tag = "" if digest else DEFAULT_TAG
        return cls(host, repository, tag, digest)

    @property
    def name(self) -> str:
        """Host, repository and tag, without the digest."""
        where = f"{self.host}/{self.repository}" if self.host else self.repository
        return f"{where}:{self.tag}" if self.tag else where

    @property
    def locator(self) -> str:
        """What stands after `manifests/` in a registry's URL: the digest, else the tag."""
        return str(self.digest) if self.digest else self.tag

    def on(self, registry: str) -> Self:
        """Return this reference on *registry* (`host[:port][/path]`) if it names no host.

        Raises:
            ReferenceFormatError: *registry* is not one.
        """
        if self.host or not registry:
            return self
        host, _, path = registry.strip("/").partition("/")
        repository = f"{path}/{self.repository}" if path else self.repository
        moved = replace(self, host=host, repository=repository)
        if self.parse(str(moved)) != moved:
            raise ReferenceFormatError(
                f"not a registry: {registry[:100]!r}",
                hint="host[:port][/path]; a host has a dot or a port, or is localhost",
            )
        return moved

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else self.name


def _split_host(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest
    return "", text


def _valid_host(host: str) -> bool:
    match = _HOST.match(host)
    return match is not None and (match["port"] is None or int(match["port"]) < _PORTS)


def _check_repository(repository: str, text: str, grammar: re.Pattern[str]) -> None:
    if not repository:
        raise _bad(text, "it names no repository", "[host/]repository[:tag]")
    for component in repository.split("/"):
        if grammar.match(component):
            continue
        if component != component.lower():
            raise _bad(
                text,
                f"{component[:64]!r} has upper case",
                f"repositories are lower case: {text.lower()[:100]}",
            )
        raise _bad(
            text,
            f"{component[:64]!r} is not a repository component",
            "lower-case letters and digits, with single . _ or - between them",
        )


def _bad(text: str, why: str, hint: str) -> ReferenceFormatError:
    return ReferenceFormatError(f"not a model reference: {text[:100]!r}: {why}", hint=hint)
