"""A registry in memory that counts what it is asked, and a token service on a port of its own."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from fakes.uploads import FakeUploads
from fakes.web import Exchange, FakeServer, serve

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_PATH = re.compile(r"/v2/(?P<repo>.+?)/(?P<kind>blobs/uploads|blobs|manifests)/(?P<rest>[^/?]*)")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class FakeTokens(FakeServer):
    """Gives bearer tokens; without users, to everybody, and else to pull for everybody."""

    def __init__(self, users: Mapping[str, str] | None = None, *, anonymous: bool = True) -> None:
        super().__init__()
        self.users = dict(users or {})
        self.anonymous = anonymous
        self.identity_token = ""
        self.life_s: int | None = 300
        self.prefix = "token"
        self.given: dict[str, str] = {}
        """Each token with its scope."""

    def answer(self, exchange: Exchange) -> None:
        url = urlsplit(exchange.path)
        if exchange.command == "POST":
            form = parse_qs(exchange.body.decode())
            known = form.get("refresh_token") == [self.identity_token]
        else:
            form = parse_qs(url.query)
            header = exchange.headers.get("Authorization", "")
            known = header in {basic(*pair) for pair in self.users.items()}
            if not header and self.anonymous:
                known = not self.users or "push" not in form.get("scope", [""])[0]
        if not known:
            exchange.reply(401, b'{"errors":[{"code":"UNAUTHORIZED","message":"bad login"}]}')
            return
        token = f"{self.prefix}-{len(self.given)}"
        self.given[token] = " ".join(form.get("scope", []))
        answer: dict[str, object] = {"token": token}
        if self.life_s is not None:
            answer["expires_in"] = self.life_s
        exchange.reply(200, json.dumps(answer).encode(), Content_Type="application/json")


class FakeRegistry(FakeServer):
    """Blobs and manifests in memory; asks for a password or a token where it is given some."""

    def __init__(
        self,
        *,
        users: Mapping[str, str] | None = None,
        tokens: FakeTokens | None = None,
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        super().__init__(certificate, key)
        self.users = dict(users or {})
        self.tokens = tokens
        self.expired: set[str] = set()
        """Tokens that are no longer good."""
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[tuple[str, str], tuple[bytes, str]] = {}
        self.uploads = FakeUploads(self)
        self.ranges = True
        """Whether a part of a blob may be asked for."""
        self.pace_s = 0.0
        """Pause after each block of a blob."""

    def add_blob(self, data: bytes) -> dict[str, object]:
        """Keep *data* and return its descriptor."""
        self.blobs[digest_of(data)] = data
        return {"mediaType": "application/x", "digest": digest_of(data), "size": len(data)}

    def add_manifest(self, repo: str, raw: bytes, *names: str, kind: str = OCI_MANIFEST) -> str:
        for name in (*names, digest_of(raw)):
            self.manifests[repo, name] = (raw, kind)
        return digest_of(raw)

    def answer(self, exchange: Exchange) -> None:
        match = _PATH.match(exchange.path)
        if self.refuses(exchange):
            return
        if match is None:
            exchange.reply(200 if urlsplit(exchange.path).path == "/v2/" else 404, b"{}")
        elif match["kind"] == "manifests":
            self._manifest(exchange, match["repo"], match["rest"])
        elif match["kind"] == "blobs":
            self._blob(exchange, match["rest"])
        else:
            self.uploads.answer(exchange, match["repo"], match["rest"])

    def refuses(self, exchange: Exchange) -> bool:
        """Ask for credentials where they are missing; tells whether they are."""
        match = _PATH.match(exchange.path)
        repo = match["repo"] if match else ""
        push = exchange.command in ("POST", "PUT", "PATCH")
        said = exchange.headers.get("Authorization", "")
        if self.tokens is not None:
            token = said.removeprefix("Bearer ")
            scope = self.tokens.given.get(token, "") if token not in self.expired else None
            known = token in self.tokens.given and scope is not None
            actions = (scope or "").rpartition(":")[2].split(",")
            if known and (not repo or ("push" if push else "pull") in actions):
                return False
            wanted = f',scope="repository:{repo}:{"pull,push" if push else "pull"}"' if repo else ""
            challenge = f'Bearer realm="{self.tokens.url}/token",service="fake.example"{wanted}'
        elif self.users and said not in {basic(*pair) for pair in self.users.items()}:
            challenge = 'Basic realm="fake"'
        else:
            return False
        body = b'{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}'
        exchange.reply(401, body, WWW_Authenticate=challenge)
        return True

    def _manifest(self, exchange: Exchange, repo: str, name: str) -> None:
        if exchange.command == "PUT":
            kind = exchange.headers["Content-Type"]
            self.add_manifest(repo, exchange.body, name, kind=kind)
            exchange.reply(201)
        elif found := self.manifests.get((repo, name)):
            said = digest_of(found[0])
            exchange.reply(200, found[0], Content_Type=found[1], Docker_Content_Digest=said)
        else:
            exchange.reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"unknown"}]}')

    def _blob(self, exchange: Exchange, digest: str) -> None:
        if digest in self.blobs:
            serve(exchange, self.blobs[digest], ranges=self.ranges, pace_s=self.pace_s)
        else:
            exchange.reply(404, b'{"errors":[{"code":"BLOB_UNKNOWN","message":"unknown"}]}')
