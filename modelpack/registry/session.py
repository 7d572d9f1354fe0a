"""HTTP with one registry: the only importer of oras-py and requests.

oras-py gives the HTTP session and the URLs; its transfer methods are not used, since they hold
whole files in memory, verify nothing and never time out. Every request here has a connect and a
read timeout. Credentials go to the registry's own host and to the token service it names, and
nowhere else.
"""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeAlias
from urllib.parse import urljoin, urlsplit

from modelpack import __version__, limits
from modelpack.content.base import Readable
from modelpack.errors import InputError, MissingExtraError, NetworkError, RegistryError
from modelpack.registry.challenge import Challenge, joined, parse_challenge, scope_of
from modelpack.registry.credentials import Credential, Credentials
from modelpack.registry.patience import Patience, Wait
from modelpack.registry.problems import broken, error_for, reason
from modelpack.registry.tokens import Authority
from modelpack.registry.wire import Sockets

if TYPE_CHECKING:
    import requests

Answer: TypeAlias = "requests.Response"
"""What a registry answered, its body not read yet."""

_HUB = {"docker.io": "registry-1.docker.io", "index.docker.io": "registry-1.docker.io"}
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach registries."""

    credentials: Credentials
    insecure: bool = False
    """Do without verified TLS, and without TLS where the registry has none."""
    ca_file: str = ""
    """PEM file of the certificate authorities to trust instead of the system's."""
    pause: Wait | None = None
    """Waits before a request is sent again, instead of really waiting."""


@dataclass(frozen=True, slots=True)
class Body:
    """A request body that is sent as a stream and can be sent again."""

    rewind: Callable[[], Readable]
    size: int


@dataclass(frozen=True, slots=True)
class Ask:
    """One request: what it is for, and what goes with it."""

    method: str
    url: str
    what: str
    """Names the wanted thing in errors."""
    push: bool = False
    """Whether the token must allow writing."""
    headers: Mapping[str, str] | None = None
    body: Body | bytes | None = None


class Session:
    """Authenticated HTTP with the registry *host*, for *repository*; threads may share it."""

    def __init__(self, host: str, repository: str, connection: Connection) -> None:
        self.host = host
        self.repository = repository
        self._connection = connection
        self._verify: bool | str = connection.ca_file or not connection.insecure
        _check_authorities(connection.ca_file)
        self._sockets = Sockets()
        self._http = _http_session(self._sockets, quiet=connection.insecure)
        self._patience = Patience(host, network_errors, connection.pause)
        self._authority = Authority(host, self._fetch_token)
        self._lock = threading.Lock()
        self._root = ""

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def interrupt(self) -> None:
        """Let every request that is under way fail now, and begin no other."""
        self._patience.end()
        self._sockets.shut()

    def pause(self, seconds: float) -> None:
        """Wait before something is tried again."""
        self._patience.pause(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    @property
    def root(self) -> str:
        """The registry's scheme and host; found out on first use for hosts that may lack TLS."""
        with self._lock:
            if not self._root:
                name = _HUB.get(self.host, self.host)
                self._root = f"{self._scheme(name)}://{name}"
            return self._root

    def url(self, path: str) -> str:
        """Return the URL of *path* below this repository."""
        return f"{self.root}/v2/{self.repository}/{path}"

    @contextmanager
    def request(self, ask: Ask, *expected: int) -> Iterator[Answer]:
        """Send *ask*; yields the streaming answer if its status is among *expected*.

        Raises:
            NotFoundError: the registry does not have it.
            AuthenticationError: credentials are missing or refused.
            RegistryError: any other answer.
            NetworkError: no answer.
        """
        with network_errors(self.host):
            response = self._send(ask)
            with response:
                if response.status_code not in expected:
                    raise error_for(self.host, ask.what, response.status_code, _start_of(response))
                yield response

    def follow(self, response: Answer) -> str:
        """Return the absolute URL of the answer's `Location`."""
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"{self.host} started an upload without a Location")
        url = urljoin(response.url, location)
        if urlsplit(url).scheme not in ("http", "https"):
            raise RegistryError(
                f"{self.host} sent us to {urlsplit(url).scheme}:, which is not HTTP"
            )
        return url

    def _send(self, ask: Ask) -> Answer:
        own = self._is_own(ask.url)
        scope = scope_of(self.repository, push=ask.push)
        authorization = self._authority.header(scope) if own else ""
        response = self._attempt(ask, authorization)
        if response.status_code != _UNAUTHORIZED or not own:
            return response
        challenge = parse_challenge(response.headers.get("WWW-Authenticate", ""))
        if challenge is None or not self._is_own(response.url):
            return response
        credentials = self._connection.credentials
        try:
            answer = self._authority.answer(challenge, scope, credentials, authorization)
        except BaseException:
            response.close()
            raise
        if not answer:
            return response
        response.close()
        return self._attempt(ask, answer)

    def _is_own(self, url: str) -> bool:
        """Tell whether *url* is on the registry itself, where its credentials may go."""
        return urlsplit(url)[:2] == urlsplit(self.root)[:2]

    def _attempt(self, ask: Ask, authorization: str) -> Answer:
        headers = {"User-Agent": f"modelpack/{__version__}", "Accept-Encoding": "identity"}
        headers.update(ask.headers or {})
        if authorization:
            headers["Authorization"] = authorization
        data: object = ask.body
        if isinstance(ask.body, Body):
            data = ask.body.rewind()
            headers["Content-Length"] = str(ask.body.size)
        return self._patience.send(
            ask.method,
            lambda: self._http.request(
                ask.method,
                ask.url,
                headers=headers,
                data=data,  # type: ignore[arg-type]
                stream=True,
                timeout=(limits.CONNECT_TIMEOUT_S, limits.READ_TIMEOUT_S),
                verify=self._verify,
                auth=_no_netrc,
                allow_redirects=ask.method in ("GET", "HEAD"),
            ),
        )

    def _fetch_token(
        self, challenge: Challenge, scope: str, credential: Credential | None
    ) -> Mapping[str, object]:
        if urlsplit(challenge.realm).scheme == "http" and self.root.startswith("https:"):
            raise RegistryError(f"{self.host} wants its password sent in the clear; refused")
        wanted = {"service": challenge.service, "scope": joined(challenge.scope, scope)}
        parameters = {key: value for key, value in wanted.items() if value}
        identity = credential.identity_token if credential else ""
        headers = {"User-Agent": f"modelpack/{__version__}"}
        if identity:
            parameters |= {
                "grant_type": "refresh_token",
                "refresh_token": identity,
                "client_id": "modelpack",
            }
        elif credential:
            headers["Authorization"] = credential.basic
            parameters["account"] = credential.username
        method = "POST" if identity else "GET"
        response = self._patience.send(
            method,
            lambda: self._http.request(
                method,
                challenge.realm,
                params=None if identity else parameters,
                data=parameters if identity else None,
                headers=headers,
                timeout=(limits.CONNECT_TIMEOUT_S, limits.READ_TIMEOUT_S),
                verify=self._verify,
                auth=_no_netrc,
                stream=True,
                allow_redirects=not identity,
            ),
        )
        with response:
            if not response.ok:
                raise error_for(self.host, "a token", response.status_code, _start_of(response))
            return _json_object(_start_of(response, limits.TOKEN_BODY), self.host)

    def _scheme(self, name: str) -> str:
        """Prefer https; plain http only where it is allowed and https is not spoken."""
        if not (self._connection.insecure or is_loopback(name)):
            return "https"
        import requests

        try:
            self._http.get(
                f"https://{name}/v2/",
                timeout=(limits.CONNECT_TIMEOUT_S, limits.CONNECT_TIMEOUT_S),
                verify=self._verify,
                auth=_no_netrc,
                allow_redirects=False,
            ).close()
        except requests.exceptions.SSLError as error:
            return "https" if "CERTIFICATE_VERIFY_FAILED" in str(error) else "http"
        except requests.RequestException:
            return "http"
        return "https"


@contextmanager
def network_errors(host: str) -> Iterator[None]:
    """Turn whatever the HTTP library raises into our own `NetworkError`."""
    import ssl
    from http.client import HTTPException

    import requests
    import urllib3

    try:
        yield
    except requests.exceptions.SSLError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise NetworkError(
                f"the certificate of {host} is not trusted",
                hint="name the authority with --ca-file, or use --insecure",
            ) from None
        raise NetworkError(
            f"{host} does not speak TLS", hint="for plain HTTP use --insecure"
        ) from None
    except requests.exceptions.ConnectTimeout:
        raise NetworkError(f"{host} does not answer", hint="is the name right?") from None
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError):
        raise NetworkError(f"{host} stopped answering", hint="try again") from None
    except (requests.exceptions.TooManyRedirects, requests.exceptions.InvalidSchema) as error:
        raise RegistryError(f"{host} redirects to nowhere: {reason(error)}") from None
    except requests.exceptions.ConnectionError as error:
        if not isinstance(error.args[0] if error.args else None, urllib3.exceptions.MaxRetryError):
            raise broken(host, error) from None
        raise NetworkError(
            f"cannot reach {host}: {reason(error)}", hint="is the registry running?"
        ) from None
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        HTTPException,
        OSError,
    ) as error:
        if isinstance(error, OSError) and not isinstance(
            error, (requests.RequestException, ConnectionError, ssl.SSLError)
        ):
            raise
        raise broken(host, error) from None


def is_loopback(host: str) -> bool:
    """Tell whether *host* (with or without port) is this machine."""
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_authorities(path: str) -> None:
    """Refuse a file that the TLS library could only say about that the host is not trusted."""
    if not path:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise InputError(
            f"{path} holds no certificate authorities: {error.strerror or error}",
            hint="--ca-file names a PEM file",
        ) from None


def _http_session(sockets: Sockets, *, quiet: bool) -> requests.Session:
    try:
        from oras.provider import Registry
    except ImportError as error:  # pragma: no cover - a broken installation
        raise MissingExtraError(f"talking to a registry ({error.name})", "runtime") from None
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        """Send bodies in blocks that stay in the processor's cache."""

        def init_poolmanager(self, *args: object, **kwargs: object) -> None:
            super().init_poolmanager(*args, **kwargs, blocksize=limits.BLOCK)  # type: ignore[arg-type]
            self.poolmanager.pool_classes_by_scheme = sockets.pools()

    session: requests.Session = Registry(tls_verify=not quiet).session  # quiet: no warnings
    session.max_redirects = 5
    session.rebuild_auth = _rebuild_auth  # type: ignore[method-assign]
    session.mount("https://", Adapter(pool_maxsize=32))
    session.mount("http://", Adapter(pool_maxsize=32))
    return session


def _rebuild_auth(request: requests.PreparedRequest, response: Answer) -> None:
    """Drop credentials when a redirect leaves the host, and take none from ~/.netrc."""
    if urlsplit(request.url)[:2] != urlsplit(response.url)[:2]:
        request.headers.pop("Authorization", None)


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _start_of(response: Answer, limit: int = limits.ERROR_BODY) -> bytes:
    return response.raw.read(limit, decode_content=True) or b""


def _json_object(raw: bytes, host: str) -> Mapping[str, object]:
    import json

    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RegistryError(f"the token service of {host} answered something else than JSON")
    return value
