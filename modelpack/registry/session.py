"""HTTP with one registry: who is asked, with which credentials, and what is refused.

`carriers` takes the requests there. Every one has a connect and a read timeout. Credentials go to
the registry's own host and to the token service it names, and nowhere else.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self
from urllib.parse import urlencode, urlsplit

from modelpack import __version__, limits
from modelpack.errors import ModelPackError, NetworkError, RegistryError
from modelpack.registry.bodies import read_body, release, start_of
from modelpack.registry.carriers import Carriers
from modelpack.registry.challenge import Challenge, joined, parse_challenge, scope_of
from modelpack.registry.contexts import Contexts
from modelpack.registry.credentials import Credential, Credentials
from modelpack.registry.direct import OddError
from modelpack.registry.exchange import Answer, Body, Request
from modelpack.registry.failures import network_errors
from modelpack.registry.heads import LineError
from modelpack.registry.lines import Line
from modelpack.registry.patience import Patience, Wait
from modelpack.registry.places import is_same, named, real_name
from modelpack.registry.policy import UploadPolicy
from modelpack.registry.problems import error_for, looks_like_html, not_a_registry
from modelpack.registry.proxies import is_loopback
from modelpack.registry.retry import may_repeat, parse_retry_after
from modelpack.registry.tokens import Authority
from modelpack.registry.ways import Ways
from modelpack.registry.wire import Sockets

if TYPE_CHECKING:
    from modelpack.registry.trust import Identity, Named, Trust

_UNAUTHORIZED = 401
_REFUSED = 400
_AGENT = f"User-Agent: modelpack/{__version__}\r\n"
_TLS_WANTED = (301, 302, 307, 308, 400)
"""What servers answer to plain HTTP where they speak TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """How to reach registries."""

    credentials: Credentials
    insecure: bool = False
    """Do without verified TLS, and without TLS where the registry has none."""
    ca_file: Named | None = None
    """PEM file of the certificate authorities to trust instead of all others."""
    identity: Identity | None = None
    """The client certificate to show to the registry."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Says where certificates are, and proxies."""
    policy: UploadPolicy | None = None
    """How blobs are sent, where that is not what is known of the host."""
    pause: Wait | None = None
    """Waits before a request is sent again, instead of really waiting."""
    avoids: Callable[[str], bool] | None = None
    """Tells whether nothing may be sent to an address, wherever a name or a redirect leads."""


class Ask(NamedTuple):
    """One request: what it is for, and what goes with it."""

    method: str
    url: str
    what: str
    """Names the wanted thing in errors."""
    push: bool = False
    """Whether the token must allow writing."""
    headers: Mapping[str, str] | None = None
    body: Body | bytes | None = None
    repeat: bool = False
    """Whether it may be sent again although it is neither GET nor HEAD."""
    source: str = ""
    """Another repository that the token must allow reading."""
    timeout_s: float = 0.0
    """How long to wait for the answer, where that is not as long as usual."""


class Session:
    """Authenticated HTTP with the registry *host*, for *repository*; threads may share it."""

    def __init__(self, host: str, repository: str, connection: Connection) -> None:
        self.host = host
        self.repository = repository
        self._connection = connection
        self._sockets = Sockets(connection.avoids)
        self._ways = _ways(host, connection, self._sockets)
        self._carriers = Carriers(host, real_name(host), self._ways, quiet=connection.insecure)
        self._patience = Patience(host, network_errors, connection.pause)
        self._authority = Authority(host, repository, self._fetch_token)
        self._lock = threading.Lock()
        self._root = ""

    def close(self) -> None:
        """Close the connections."""
        self._carriers.close()

    def interrupt(self) -> None:
        """Let every request that is under way fail now, and begin no other."""
        self._patience.end()
        self._sockets.shut()

    def line(self) -> Line:
        """Connect to the registry once more, for short conversations that leave this session out.

        Raises:
            LineError: there is no connection, or none without a proxy.
        """
        try:
            with network_errors(self.host):
                opened = (
                    None if self._patience.is_over else self._ways.connect(self.root, identify=True)
                )
        except (ModelPackError, OSError) as error:
            raise LineError(str(error)) from None
        if opened is None:
            raise LineError(f"no way to {self.host}")
        return Line(opened)

    def head(self, *, push: bool = False) -> str:
        """Return the headers of every request to the registry, each with its line end."""
        scope = scope_of(self.repository, push=push)
        authorization = self._authority.current(scope, self._connection.credentials)
        said = f"Authorization: {authorization}\r\n" if authorization else ""
        host = urlsplit(self.root).netloc
        return f"Host: {host}\r\n{_AGENT}Accept-Encoding: identity\r\n{said}"

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
                name = real_name(self.host)
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
        with network_errors(self.host), closing(self._send(ask)) as response:
            if response.status_code not in expected:
                error = self._refusal(ask, response)
                release(response, self.host)
                raise error
            if ask.push and self._is_page(response):
                raise not_a_registry(self.host)
            yield response
            release(response, self.host)

    def follow(self, response: Answer) -> str:
        """Return the absolute URL of the answer's `Location`."""
        location = response.headers.get("Location")
        if not location:
            raise RegistryError(f"{self.host} started an upload without a Location")
        return named(self.host, response.url, location)

    def _is_page(self, response: Answer) -> bool:
        """Tell whether a page for people says that all is well: nothing was taken then."""
        kind = response.headers.get("Content-Type", "")
        return "html" in kind.lower() and looks_like_html(start_of(response, self.host))

    def _refusal(self, ask: Ask, response: Answer) -> ModelPackError:
        error = error_for(self.host, ask.what, response.status_code, start_of(response, self.host))
        if isinstance(error, RegistryError):
            asked = response.headers.get("Retry-After", "")
            error.retry_after = parse_retry_after(asked, time.time())
        return error

    def _send(self, ask: Ask) -> Answer:
        own = self._is_own(ask.url)
        scope = scope_of(self.repository, push=ask.push)
        if ask.source:
            scope += f" {scope_of(ask.source, push=False)}"
        authorization = self._authority.current(scope, self._connection.credentials) if own else ""
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
        return is_same(url, self.root)

    def _attempt(self, ask: Ask, authorization: str) -> Answer:
        headers = {"User-Agent": f"modelpack/{__version__}", "Accept-Encoding": "identity"}
        headers.update(ask.headers or {})
        if authorization:
            headers["Authorization"] = authorization
        request = Request(
            ask.method,
            ask.url,
            headers,
            ask.timeout_s or limits.READ_TIMEOUT_S,
            ask.body,
            follow=may_repeat(ask.method),
        )
        return self._patience.send(
            lambda: self._carriers.send(request), repeat=ask.repeat or may_repeat(ask.method)
        )

    def _fetch_token(
        self, challenge: Challenge, scope: str, credential: Credential | None
    ) -> Mapping[str, object]:
        realm = named(self.host, "", challenge.realm)
        if realm.startswith("http:") and self.root.startswith("https:"):
            raise RegistryError(f"{self.host} wants its password sent in the clear; refused")
        scopes = joined(challenge.scope, scope)
        wanted = {"service": challenge.service, "scope": scopes}
        parameters: dict[str, str | list[str]] = {k: v for k, v in wanted.items() if v}
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
        if scopes and not identity:  # one parameter each here, one list with spaces for a POST
            parameters["scope"] = scopes.split()
        text = urlencode(parameters, doseq=True)
        url, body = realm.partition("#")[0], None
        if identity:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = text.encode()
        elif text:
            url += f"{'&' if urlsplit(url).query else '?'}{text}"
        method = "POST" if identity else "GET"
        repeat = may_repeat(method)
        request = Request(method, url, headers, limits.READ_TIMEOUT_S, body, follow=repeat)
        sent = self._patience.send(lambda: self._carriers.send(request), repeat=repeat)
        with closing(sent) as response:
            if response.status_code >= _REFUSED:
                said = start_of(response, self.host)
                raise error_for(self.host, "a token", response.status_code, said)
            return _json_object(read_body(response, self.host, limits.TOKEN_BODY), self.host)

    def _scheme(self, name: str) -> str:
        """Prefer https; plain http only where it is allowed and https is not spoken.

        On the loopback plain http is tried first: nobody listens in there, and it begins sooner.
        """
        if not (self._connection.insecure or is_loopback(name)):
            return "https"
        if is_loopback(name) and self._status(f"http://{name}") not in (None, *_TLS_WANTED):
            return "http"
        if self._status(f"https://{name}") is not None:
            return "https"
        return "https" if self._carriers.speaks_tls(name) else "http"

    def _status(self, root: str) -> int | None:
        """Return what *root* answers when it is asked without a library, if it does."""
        ask = Request("GET", f"{root}/v2/", {}, limits.CONNECT_TIMEOUT_S)
        try:
            with network_errors(self.host), closing(self._carriers.direct.send(ask)) as response:
                start_of(response, self.host)  # so that the connection can be used again
                return response.status_code
        except (OddError, NetworkError):
            return None


def _ways(host: str, connection: Connection, sockets: Sockets) -> Ways:
    def trust() -> Trust:
        from modelpack.registry.trust import decide

        return decide(
            host,
            connection.environment,
            verify=not connection.insecure,
            authority=connection.ca_file,
            identity=connection.identity,
        )

    return Ways(Contexts(trust), sockets, connection.environment)


def _json_object(raw: bytes, host: str) -> Mapping[str, object]:
    import json

    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise RegistryError(f"the token service of {host} answered something else than JSON")
    return value
