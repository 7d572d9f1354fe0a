"""What has been done to servers of this kind, tried on ours: each ends in a plain refusal.

The list is that of Ollama's security record; names of CVEs stand where there is one.
"""

from __future__ import annotations

import hashlib
import json
import socket
import threading
import time
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from support.serving import EXAMPLE, MODEL, serving, tiny_store

from modelpack import limits
from modelpack.server.daemon import bodies, listener, places

pytestmark = pytest.mark.model

TRAVERSALS = (
    "sha256:../../../../etc/passwd",
    "sha256-..%2f..%2f..%2fetc%2fpasswd",
    "sha256:" + "a" * 63 + "/",
    "sha256:" + "A" * 64,
    "sha512:" + "a" * 64,
    "sha256:" + "a" * 64 + "0",
)


def raw(url: str, data: bytes, *, timeout: float = 30) -> bytes:
    """Send *data* as it is, and return what comes until the server closes."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=timeout) as sock:
        sock.sendall(data)
        came = b""
        while block := sock.recv(65536):
            came += block
        return came


@pytest.mark.parametrize("digest", TRAVERSALS)
def test_a_digest_is_never_a_path(own, digest):
    """CVE-2024-37032, CVE-2026-7020, CVE-2024-39722."""
    assert own.ask("HEAD", f"/api/blobs/{digest}").status_code in (400, 404)
    assert own.ask("POST", f"/api/blobs/{digest}", b"x").status_code in (400, 404)
    body = {"model": "x", "files": {"a.gguf": digest}, "stream": False}
    answer = own.ask("POST", "/api/create", body)
    assert answer.status_code in (400, 404)
    assert "passwd" not in answer.text or "invalid" in answer.text


@pytest.mark.parametrize("name", ["../../x.gguf", "/etc/x.gguf", "a/../../b.gguf", "a\\b.gguf", ""])
def test_a_file_name_stays_inside(own, name):
    """CVE-2024-45436: names in what is sent are paths nowhere."""
    digest = f"sha256:{hashlib.sha256((EXAMPLE / 'tiny.gguf').read_bytes()).hexdigest()}"
    body = {"model": "x", "files": {name: digest}, "stream": False}
    answer = own.ask("POST", "/api/create", body)
    assert answer.status_code == 400
    assert "path" in answer.json()["error"]


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/dev/random", "a/../b", "x\x00y", "a" * 999]
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/show"),
        ("POST", "/api/chat"),
        ("DELETE", "/api/delete"),
        ("POST", "/api/push"),
    ],
)
def test_a_name_is_never_a_path(shared, method, path, name):
    """CVE-2024-39719: neither its file nor that one is there is told; CVE-2024-39722."""
    answer = shared.ask(method, path, {"model": name, "messages": [], "stream": False})
    assert answer.status_code in (400, 404)
    assert "No such file" not in answer.text


def test_a_device_is_not_read(own):
    """CVE-2024-39721: `create` from /dev/random."""
    began = time.monotonic()
    answer = own.ask("POST", "/api/create", {"model": "x", "from": "/dev/random", "stream": False})
    assert answer.status_code in (400, 404)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GGUF",
        b"GGUF\x03\x00\x00\x00" + b"\xff" * 16,
        b"GGUF\x03\x00\x00\x00" + (2**60).to_bytes(8, "little") * 2 + b"\x00" * 64,
        b"\x00" * 4096,
        b"PK\x03\x04" + b"\x00" * 64,
    ],
    ids=["nothing", "cut", "counts", "huge counts", "zeros", "zip"],
)
def test_broken_weights_are_refused_and_nothing_is_left(own, data):
    """CVE-2024-39720, CVE-2024-12055, CVE-2025-0312, -0315, -0317 and their like."""
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert own.ask("POST", f"/api/blobs/{digest}", data).status_code == 201
    answer = own.ask(
        "POST", "/api/create", {"model": "x", "files": {"x.gguf": digest}, "stream": False}
    )
    assert answer.status_code in (400, 404)
    assert own.ask("GET", "/api/tags").json()["models"][0]["name"] == "tiny:latest"
    assert own.ask("GET", "/healthz").status_code == 200


def test_a_blob_that_is_another_is_not_kept(own):
    wrong = "sha256:" + "0" * 64
    answer = own.ask("POST", f"/api/blobs/{wrong}", b"something else")
    assert answer.status_code == 400
    assert "digest mismatch" in answer.json()["error"]
    root = own.context.store.layout.root
    actual = hashlib.sha256(b"something else").hexdigest()
    assert not (root / "blobs" / f"sha256-{actual}").exists()
    assert list((root / "ingest").iterdir()) == []


def test_the_server_does_not_ask_where_only_it_can(shared):
    """CVE-2026-5530: neither metadata services nor link-local addresses."""
    for host in ("169.254.169.254", "[fe80::1]:80", "0.0.0.0:80"):
        for path in ("/api/pull", "/api/push"):
            answer = shared.ask("POST", path, {"model": f"{host}/a/b", "insecure": True})
            assert answer.status_code == 403, answer.text


def test_no_path_of_the_server_is_told_by_errors(shared):
    """CVE-2024-39722 and the like."""
    root = str(shared.context.store.layout.root)
    for body in (
        {"model": "nothing"},
        {"model": "a/b/c:d"},
        {"model": MODEL, "options": {"seed": "x"}},
    ):
        for path in ("/api/chat", "/api/push", "/api/generate", "/v1/chat/completions"):
            assert root not in shared.ask("POST", path, body).text


def said(**more: object) -> bytes:
    messages = [{"role": "user", "content": "x"}]
    return json.dumps({"model": MODEL, "messages": messages, "max_tokens": 5, **more}).encode()


NONSENSE = (
    b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"model":' * 50_000,
    b'{"model": 1}', said(messages="x"), said(messages=[1]), said(model=None),
    said(messages=[{"role": "wizard", "content": "x"}]),
    said(messages=[{"role": "user", "content": {"a": 1}}]), said(tools=[1]), said(tools="x"),
)  # fmt: skip


@pytest.mark.parametrize("body", NONSENSE, ids=range(len(NONSENSE)))
@pytest.mark.parametrize("path", ["/api/chat", "/v1/chat/completions", "/v1/messages"])
def test_bodies_that_make_no_sense_are_refused(shared, path, body):
    answer = shared.ask("POST", path, body)
    assert answer.status_code == 400, answer.text
    assert "error" in answer.json()


@pytest.mark.parametrize(
    "field",
    [
        {"options": {"num_ctx": "x"}},
        {"options": {"top_k": float("inf")}},
        {"options": [1]},
        {"format": 3},
        {"think": "very"},
        {"keep_alive": "soon"},
        {"top_logprobs": 21},
        {"messages": [{"role": "user", "content": "x", "images": ["%%%"]}]},
        {"messages": [{"role": "assistant", "tool_calls": [{}]}]},
    ],
)
def test_fields_that_make_no_sense_are_refused(shared, field):
    answer = shared.ask("POST", "/api/chat", said(**field))
    assert answer.status_code == 400, answer.text


HUGE = 10**400


@pytest.mark.parametrize(
    ("path", "field", "named"),
    [
        ("/v1/chat/completions", {"temperature": HUGE}, "temperature"),
        ("/v1/completions", {"prompt": "x", "presence_penalty": -HUGE}, "presence_penalty"),
        ("/v1/completions", {"prompt": "x", "logit_bias": {"1": HUGE}}, "logit_bias.1"),
        ("/v1/completions", {"prompt": "x", "logit_bias": {"9" * 5000: 1}}, "logit_bias"),
        ("/v1/messages", {"top_p": HUGE}, "top_p"),
        ("/api/chat", {"keep_alive": HUGE}, "not a time to keep a model"),
        ("/api/chat", {"options": {"temperature": HUGE}}, "temperature"),
    ],
)
def test_numbers_that_are_too_large_are_refused_by_name(shared, path, field, named):
    answer = shared.ask("POST", path, said(**field))
    assert answer.status_code == 400, answer.text
    assert named in answer.text
    assert "\\n" not in answer.text


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), HUGE])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/completions", "temperature"),
        ("/v1/completions", "min_p"),
        ("/v1/completions", "repeat_penalty"),
        ("/v1/completions", "logit_bias.1"),
        ("/v1/chat/completions", "frequency_penalty"),
        ("/v1/responses", "top_p"),
        ("/v1/messages", "temperature"),
    ],
)
def test_numbers_that_are_not_finite_are_refused(shared, path, name, number):
    outer, _, inner = name.partition(".")
    field = {outer: {inner: number} if inner else number}
    question = {"prompt": "x"} if path == "/v1/completions" else {"input": "x"}
    answer = shared.ask("POST", path, said(**question, **field))
    assert answer.status_code == 400, answer.text
    assert f"{name} must be a finite number" in answer.text


def nested(count: int) -> str:
    return '{"x":' * count + "1" + "}" * count


def calling(arguments: object) -> dict[str, object]:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": arguments}}
    return {"messages": [{"role": "assistant", "content": "", "tool_calls": [call]}]}


@pytest.mark.parametrize("count", [105, 600, 900])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/chat", calling(None)),
        ("/v1/chat/completions", calling(None)),
        ("/v1/chat/completions", {"x": None}),
        ("/v1/messages", {"tools": [{"name": "f", "input_schema": None}]}),
    ],
)
def test_what_is_nested_deep_is_refused(shared, path, body, count):
    text = nested(count)
    if path == "/v1/chat/completions" and "messages" in body:
        text = json.dumps(text)  # arguments are JSON in a string there
    data = said(**body).replace(b"null", text.encode())
    answer = shared.ask("POST", path, data)
    assert answer.status_code == 400, answer.text
    assert "nested more than 100 deep" in answer.text


def test_what_is_nested_as_schemas_are_is_taken(shared):
    tool = {"type": "function", "function": {"name": "f", "parameters": json.loads(nested(90))}}
    for path in ("/api/chat", "/v1/chat/completions"):
        answer = shared.ask("POST", path, said(tools=[tool], stream=False))
        assert answer.status_code == 200, answer.text


def test_a_body_that_is_too_large_is_refused_before_it_is_read(shared):
    head = (
        "POST /api/chat HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Length: {limits.REQUEST_BODY + 1}\r\n\r\n"
    )
    assert b" 413 " in raw(shared.url, head.encode()).split(b"\r\n")[0]


def test_bodies_share_a_bound(tmp_path, monkeypatch):
    monkeypatch.setattr(bodies.Bodies.__init__, "__defaults__", (1000,))
    with serving(tiny_store(tmp_path)) as served:
        answer = served.ask("POST", "/api/chat", {"model": MODEL, "x": "y" * 5000})
        assert answer.status_code == 503
        assert served.ask("POST", "/api/show", {"model": MODEL}).status_code == 200


def test_heads_are_bounded(shared):
    long = f"GET /api/tags HTTP/1.1\r\nHost: localhost\r\nX: {'a' * 100_000}\r\n\r\n"
    assert b" 400 " in raw(shared.url, long.encode()).split(b"\r\n")[0]


@pytest.mark.parametrize("path", ["/debug/pprof/", "/api/../etc/passwd", "/..%2f..%2fetc/passwd"])
def test_nothing_else_is_served(shared, path):
    assert shared.ask("GET", path).status_code == 404


def test_a_template_cannot_run_away_with_a_worker(own):
    """A template that never ends is an error, and others are answered."""
    loop = "{{ range $.Messages }}"
    template = f"{loop}x{loop}{loop}y{{{{ end }}}}{{{{ end }}}}{{{{ end }}}}"
    made = own.post("/api/create", model="loop", **{"from": MODEL, "template": template})
    assert made["status"] == "success"
    many = [{"role": "user" if n % 2 else "assistant", "content": "z"} for n in range(2000)]
    answer = own.ask("POST", "/api/chat", {"model": "loop", "messages": many, "stream": False})
    assert answer.status_code == 400
    assert own.post("/api/chat", model=MODEL, messages=[])["done"]


def test_a_regular_expression_or_schema_that_explodes_is_an_error(shared):
    deep: dict[str, object] = {"type": "string"}
    for _ in range(90):
        deep = {"type": "array", "items": deep}
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "stream": False,
            "options": {"num_predict": 5}}  # fmt: skip
    for schema in (deep, {"type": "string", "pattern": "(((a{1,1000}){1,1000}){1,1000})"}):
        answer = shared.ask("POST", "/api/chat", {**body, "format": schema})
        assert answer.status_code in (200, 400), answer.text
    assert shared.ask("GET", "/healthz").status_code == 200


def test_where_files_lie_is_shown_only_by_a_modelfile(shared):
    shown = shared.post("/api/show", model=MODEL)
    root = str(shared.context.store.layout.root)
    shown.pop("modelfile")
    assert root not in json.dumps(shown)


def test_a_redirect_does_not_lead_where_only_the_server_can(own, monkeypatch):
    """A registry that is allowed sends us on to one that is not: nothing is sent there."""
    asked = []

    class Inner(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Say nothing."""

    class Outer(Inner):
        def do_GET(self) -> None:
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.2:{inner.server_port}{self.path}")
            self.end_headers()

    inner = ThreadingHTTPServer(("127.0.0.2", 0), Inner)
    outer = ThreadingHTTPServer(("127.0.0.1", 0), Outer)
    monkeypatch.setattr(places, "_METADATA", frozenset(("127.0.0.2",)))
    for server in (inner, outer):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        body = {"model": f"127.0.0.1:{outer.server_port}/a/b:c", "stream": False}
        answer = own.ask("POST", "/api/pull", body)
        assert answer.status_code >= 400
        assert asked == []
        monkeypatch.setattr(places, "_METADATA", frozenset())
        own.ask("POST", "/api/pull", body)
        assert asked  # it is the address that made the difference
    finally:
        for server in (inner, outer):
            server.shutdown()
            server.server_close()


def test_connections_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(listener, "CONNECTIONS", 3)
    with serving(tiny_store(tmp_path)) as served, ExitStack() as held:
        place = urlsplit(served.url)
        for _ in range(4):
            address = (str(place.hostname), int(place.port or 0))
            held.enter_context(socket.create_connection(address, timeout=10))
        assert served.ask("GET", "/api/version").status_code == 503
        held.close()
        deadline = time.monotonic() + 10
        while served.ask("GET", "/api/version").status_code != 200:
            assert time.monotonic() < deadline
