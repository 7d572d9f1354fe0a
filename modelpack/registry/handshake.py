"""What a TLS handshake that failed means, and why a server broke one off."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

from modelpack import limits
from modelpack.errors import NetworkError

_EXPIRED, _NOT_YET, _OTHER_NAME, _OTHER_ADDRESS = 10, 9, 62, 64
"""What OpenSSL calls these: X509_V_ERR_…"""
_VERDICT_S = 2.0
"""How long to wait for a server that may have nothing to say."""


def tls_error(host: str, error: BaseException) -> NetworkError:
    """Return the error for a handshake with *host* that failed with *error*."""
    cause = _cause(error)
    said = (getattr(cause, "reason", None) or "") + str(cause)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return _unverified(host, cause)
    if "CERTIFICATE_REQUIRED" in said:
        return NetworkError(
            f"{host} wants a client certificate",
            hint="name it with --cert-file and --key-file, or put it into docker's certs.d",
        )
    if "ALERT" in said:
        why = (getattr(cause, "reason", None) or "").rpartition("ALERT_")[2]
        return NetworkError(
            f"{host} refused our TLS: {why.replace('_', ' ').lower() or 'no reason given'}",
            hint="it may want a client certificate, or another one",
        )
    return NetworkError(f"{host} does not speak TLS", hint="for plain HTTP use --insecure")


def speaks_tls(error: BaseException) -> bool:
    """Tell whether the other side of a handshake that failed with *error* speaks TLS at all."""
    cause = _cause(error)
    return isinstance(cause, ssl.SSLCertVerificationError) or "ALERT" in str(cause).upper()


def refusal(url: str, error: BaseException, context: ssl.SSLContext) -> ssl.SSLError | None:
    """Return why the server of *url* broke a connection off with *error*, if our TLS was why.

    With TLS 1.3 a server refuses a client certificate, or the lack of one, when the client is
    through. A request that is under way by then makes it reset the connection, and its reason is
    lost. It is not where nothing is sent.
    """
    cause = _cause(error)
    ended = isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
    if isinstance(cause, ssl.SSLError) and not ended:
        return None
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port or 443)
    try:
        with (
            socket.create_connection(address, limits.CONNECT_TIMEOUT_S) as plain,
            context.wrap_socket(plain, server_hostname=parts.hostname) as secure,
        ):
            secure.settimeout(_VERDICT_S)
            secure.recv(1)
    except ssl.SSLError as said:
        return said if speaks_tls(said) else None
    except OSError:
        return None
    return None


def _unverified(host: str, cause: ssl.SSLCertVerificationError) -> NetworkError:
    code = cause.verify_code
    if code == _EXPIRED:
        return NetworkError(
            f"the certificate of {host} has expired", hint="is the clock of this machine right?"
        )
    if code == _NOT_YET:
        return NetworkError(
            f"the certificate of {host} is not valid yet",
            hint="is the clock of this machine right?",
        )
    if code in (_OTHER_NAME, _OTHER_ADDRESS):
        return NetworkError(
            f"the certificate of {host} is for another name",
            hint="use the name that is in the certificate",
        )
    return NetworkError(
        f"the certificate of {host} is not trusted",
        hint="name the authority with --ca-file, or use --insecure",
    )


def _cause(error: BaseException) -> BaseException:
    """Return the error of the TLS library inside *error*."""
    inner: object = error
    while isinstance(inner, BaseException) and not isinstance(inner, ssl.SSLError):
        error = inner
        found = (item for item in error.args if isinstance(item, BaseException))
        inner = getattr(error, "reason", None) or next(found, None)
    return inner if isinstance(inner, BaseException) else error
