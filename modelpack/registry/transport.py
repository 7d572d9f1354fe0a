"""The HTTP session of oras-py, made to go our ways: the only importer of oras-py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from modelpack import limits
from modelpack.errors import NetworkError, RegistryError
from modelpack.later import put_off
from modelpack.registry.exchange import Answer, Request
from modelpack.registry.heads import LineError, number_in
from modelpack.registry.incoming import pour_all, pour_out
from modelpack.registry.places import is_same
from modelpack.registry.problems import reason
from modelpack.registry.ways import Ways

if TYPE_CHECKING:
    import requests


def library(name: str, ways: Ways, *, quiet: bool) -> Library:
    """Return who carries by *ways* whatever there is, and identifies us to the host *name* only.

    Where it is *quiet*, it does not warn of TLS that is not verified.
    """
    with put_off("jsonschema"):  # it takes long to load, and we check for ourselves
        from oras.provider import Registry
    from modelpack.registry.adapter import mount

    session: requests.Session = Registry(tls_verify=not quiet).session
    session.max_redirects = limits.REDIRECTS
    session.rebuild_auth = _rebuild_auth  # type: ignore[method-assign]
    mount(session, name, ways)
    return Library(session)


class Library:
    """Takes requests to servers with oras-py's HTTP session; threads may share it."""

    def __init__(self, session: requests.Session) -> None:
        self._session = session

    def send(self, request: Request) -> Answer:
        """Send *request* and return the answer."""
        connect_s = min(limits.CONNECT_TIMEOUT_S, request.timeout_s)
        try:
            response = self._session.request(
                request.method,
                request.url,
                headers=dict(request.headers),
                data=request.body,  # type: ignore[arg-type]
                stream=True,
                timeout=(connect_s, request.timeout_s),
                auth=_no_netrc,
                allow_redirects=request.follow,
            )
        except (ValueError, OverflowError) as error:
            if isinstance(error, OSError):
                raise
            place = urlsplit(request.url).netloc
            raise RegistryError(f"{place} sent us to what is no address: {reason(error)}") from None
        return _Answer(response, request.method)

    def speaks_tls(self, name: str) -> bool:
        """Tell whether the host *name* speaks TLS at all, whether or not it is to be trusted.

        Raises:
            NetworkError: a proxy that leads there is not there itself.
        """
        import requests

        from modelpack.registry.handshake import speaks_tls

        try:
            self.send(Request("GET", f"https://{name}/v2/", {}, limits.CONNECT_TIMEOUT_S)).close()
        except requests.exceptions.SSLError as error:
            return speaks_tls(error)
        except NetworkError as error:
            if error.status is None:  # the proxy is not there
                raise
            return False
        except requests.RequestException:
            return False
        return True

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


class _Answer:
    """See `modelpack.registry.exchange.Answer`."""

    def __init__(self, response: requests.Response, method: str) -> None:
        self.status_code = response.status_code
        self.method = method
        self.url = response.url
        self.headers = response.headers
        self._response = response
        plain = "Content-Encoding" not in response.headers
        length = response.headers.get("Content-Length", "") if plain else ""
        self._left = number_in(length)
        """Bytes that are still to come, where they are those of the body."""
        inner: Any = getattr(response.raw, "_fp", None)
        self._inner = inner if hasattr(inner, "read1") else None
        whole = self._left is not None and not getattr(inner, "chunked", True)
        self._straight: Any = (
            getattr(getattr(inner, "fp", None), "readinto1", None) if whole else None
        )
        self._in_records = response.url.startswith("https:")

    def read(self, size: int, /) -> bytes:
        """Return what is there of the body, empty at its end; waits for the first byte only."""
        if not size or (self._straight is not None and not self._left):
            return b""
        if self._straight is not None and self._left and self._in_records:
            data = pour_out(self._straight, min(size, self._left))
        else:
            data = self._response.raw.read1(size, decode_content=True) or b""
        self._count(len(data))
        return data

    def readinto(self, room: memoryview, /) -> int:
        """Put what is there of the body into *room*; return how many bytes, 0 at its end."""
        if self._straight is None or not self._left:
            data = self.read(len(room))
            room[: len(data)] = data
            return len(data)
        count = pour_all(self._straight, room[: self._left])
        self._count(count)
        return count

    def close(self) -> None:
        """Read no more; a connection whose answer was read to its end is used again."""
        if self.method == "HEAD":
            self._response.raw.drain_conn()
        elif self._left == 0 and self._inner is not None:
            self._inner.close()
            self._response.raw.release_conn()
        self._response.close()

    def _count(self, count: int) -> None:
        if self._left is None:
            return
        if not count and self._left:
            raise LineError(f"{self._left:,} bytes are missing")
        self._left = max(0, self._left - count)


def _no_netrc(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _rebuild_auth(request: requests.PreparedRequest, response: requests.Response) -> None:
    """Drop credentials when a redirect leaves the host, and take none from ~/.netrc."""
    if not is_same(request.url or "", response.url):
        request.headers.pop("Authorization", None)
