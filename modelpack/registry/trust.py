"""Whom to trust over TLS, and as whom to appear: decided from values, then made a context.

A file that is named for a registry is trusted alone. Without one, the first of
`REQUESTS_CA_BUNDLE`, `CURL_CA_BUNDLE` and `SSL_CERT_FILE` with `SSL_CERT_DIR` takes the place of
the system's authorities, and docker's and podman's `certs.d` add to either.

See: https://docs.docker.com/engine/security/certificates/
See: https://github.com/containers/image/blob/main/docs/containers-certs.d.5.md
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modelpack import limits
from modelpack.errors import InputError
from modelpack.registry.credentials import home_in

if TYPE_CHECKING:
    import ssl

_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_HASHED = re.compile(r"[0-9a-f]{8}\.[0-9]+\Z")
"""A file that OpenSSL finds in a folder of authorities."""
_SYSTEM = ("/etc/docker/certs.d", "/etc/containers/certs.d")


@dataclass(frozen=True, slots=True)
class Named:
    """A file or folder, and the option, variable or file that names it."""

    path: Path
    by: str

    def __str__(self) -> str:
        return f"{self.path} ({self.by})"


@dataclass(frozen=True, slots=True)
class Identity:
    """A client certificate and its key, which may be in one file."""

    certificate: Named
    key: Named


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whom to trust, and as whom to appear."""

    verify: bool = True
    system: bool = True
    """Whether the system's authorities are trusted."""
    authorities: tuple[Named, ...] = ()
    identity: Identity | None = None


def decide(
    host: str,
    environment: Mapping[str, str],
    *,
    verify: bool = True,
    authority: Named | None = None,
    identity: Identity | None = None,
) -> Trust:
    """Return the trust for the registry *host*.

    Args:
        host: as in names, with its port.
        environment: says what to trust in general, and where `certs.d` may be.
        verify: whether to verify at all, where no authority is named.
        authority: what was named for this registry.
        identity: the client certificate that was named for this registry.

    Raises:
        InputError: a certificate in `certs.d` lacks its key, or a key its certificate.
    """
    added, identities = _certs_d(_folders(environment), host)
    said = (authority,) if authority else _said(environment)
    return Trust(
        verify=verify or authority is not None,
        system=not said,
        authorities=said if authority else (*said, *added),
        identity=identity or next(iter(identities), None),
    )


def _said(environment: Mapping[str, str]) -> tuple[Named, ...]:
    for name in _BUNDLES:
        if environment.get(name):
            return (Named(Path(environment[name]), name),)
    found = [
        Named(Path(folder), "SSL_CERT_DIR")
        for folder in environment.get("SSL_CERT_DIR", "").split(os.pathsep)
        if folder
    ]
    if environment.get("SSL_CERT_FILE"):
        found.insert(0, Named(Path(environment["SSL_CERT_FILE"]), "SSL_CERT_FILE"))
    return tuple(found)


def _folders(environment: Mapping[str, str]) -> list[Path]:
    """Return where `certs.d` may be, the user's own before the system's."""
    config = environment.get("XDG_CONFIG_HOME")
    own = Path(config) if config else home_in(environment) / ".config"
    docker, podman = map(Path, _SYSTEM)
    return [own / "docker" / "certs.d", docker, own / "containers" / "certs.d", podman]


def _certs_d(folders: Iterable[Path], host: str) -> tuple[list[Named], list[Identity]]:
    authorities: list[Named] = []
    identities: list[Identity] = []
    for folder in folders:
        files = _listed(folder / host)
        authorities += [Named(path, "certs.d") for path in files if path.suffix == ".crt"]
        for path in files:
            other = {".cert": ".key", ".key": ".cert"}.get(path.suffix)
            if other and path.with_suffix(other) not in files:
                raise InputError(
                    f"{path} has no {path.with_suffix(other).name} beside it",
                    hint="a .cert and its .key belong together; an authority ends in .crt",
                )
            if path.suffix == ".cert":
                key = Named(path.with_suffix(".key"), "certs.d")
                identities.append(Identity(Named(path, "certs.d"), key))
    return authorities, identities


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"cannot read {folder}: {error.strerror}") from None


def make_context(trust: Trust, *, identify: bool) -> ssl.SSLContext:
    """Return a TLS context for *trust*, which shows the client certificate if it shall *identify*.

    Raises:
        InputError: a file cannot be read, or is not what it shall be.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if trust.verify:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # as Go, and so docker, does
        if trust.system:
            _load_system(context)
        for authority in trust.authorities:
            _load_authority(context, authority)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if identify and trust.identity:
        _load_identity(context, trust.identity)
    return context


def _load_system(context: ssl.SSLContext) -> None:
    import ssl

    context.load_default_certs()
    folder = ssl.get_default_verify_paths().capath
    if not context.cert_store_stats()["x509_ca"] and not (folder and _is_hashed(folder)):
        import certifi

        context.load_verify_locations(certifi.where())


def _load_authority(context: ssl.SSLContext, authority: Named) -> None:
    import ssl

    path = authority.path
    nothing = InputError(f"{authority} holds no certificate authorities", hint="PEM is expected")
    try:
        if path.is_dir():
            if not _is_hashed(path):
                raise nothing
            context.load_verify_locations(capath=path)
        else:
            path.open("rb").close()  # what OpenSSL says of such a file depends on its version
            context.load_verify_locations(cafile=path)
    except ssl.SSLError:
        raise nothing from None
    except OSError as error:
        raise _unreadable(authority, error) from None


def _is_hashed(folder: str | Path) -> bool:
    return any(_HASHED.match(path.name) for path in Path(folder).iterdir())


def _load_identity(context: ssl.SSLContext, identity: Identity) -> None:
    import ssl

    _require(identity.certificate, b"-----BEGIN CERTIFICATE-----", "certificate")
    _require(identity.key, b"PRIVATE KEY-----", "private key")

    def refuse() -> str:
        raise InputError(
            f"the key in {identity.key} is encrypted",
            hint="`openssl pkey` writes it without a password; keep that file to yourself",
        )

    try:
        context.load_cert_chain(identity.certificate.path, identity.key.path, refuse)
    except ssl.SSLError as error:
        what = "does not belong to" if "MISMATCH" in str(error) else "cannot be used with"
        raise InputError(
            f"the key in {identity.key} {what} the certificate in {identity.certificate}"
        ) from None


def _require(file: Named, mark: bytes, what: str) -> None:
    try:
        with file.path.open("rb") as opened:
            found = mark in opened.read(limits.CREDENTIALS_FILE)
    except OSError as error:
        raise _unreadable(file, error) from None
    if not found:
        raise InputError(f"{file} holds no {what}", hint="it must be a PEM file")


def _unreadable(file: Named, error: OSError) -> InputError:
    return InputError(f"cannot read {file}: {error.strerror or error}")
