"""Who is let in: hosts, origins, keys, and the registries that a client may name."""

from __future__ import annotations

import asyncio
import stat

import pytest
from support.serving import serving, tiny_store

from modelpack.address import Address, parse_address
from modelpack.config import Settings
from modelpack.errors import InputError, NotFoundError
from modelpack.server.daemon.failures import RefusedError
from modelpack.server.daemon.guard import is_allowed_origin, is_local_host, key_of, scope_of
from modelpack.server.daemon.keys import Keys, add_key, read_keys, remove_key
from modelpack.server.daemon.listener import rules_of
from modelpack.server.daemon.places import Places, is_forbidden
from modelpack.server.daemon.settings import ServeSettings


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:11434", "127.0.0.1:1", "[::1]:80", "::1", "192.168.0.7:11434",
     "box.local", "a.internal", "x.localhost:9", ""],
)  # fmt: skip
def test_names_of_this_machine_are_let_in(host):
    assert is_local_host(host)


@pytest.mark.parametrize(
    "host",
    ["example.com", "evil.com:11434", "8.8.8.8", "localhost.evil.com", "local", "[2606:4700::1]"],
)
def test_other_names_are_not(host):
    assert not is_local_host(host)


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("http://localhost:3000", True),
        ("https://127.0.0.1", True),
        ("http://[::1]:8080", True),
        ("app://obsidian.md", True),
        ("vscode-webview://x", True),
        ("http://evil.com", False),
        ("http://localhost.evil.com", False),
        ("null", False),
        ("https://chat.example.com", True),
        ("https://other.example.com", False),
    ],
)
def test_pages_are_let_in_by_their_origin(origin, allowed):
    assert is_allowed_origin(origin, "127.0.0.1:11434", ("https://chat.*",)) is allowed


def test_a_page_of_the_server_itself_and_a_star_are_let_in():
    assert is_allowed_origin("http://box:11434", "box:11434", ())
    assert is_allowed_origin("http://evil.com", "x", ("*",))


def test_every_route_has_a_scope():
    assert scope_of("/") == scope_of("/healthz") == ""
    assert scope_of("/metrics") == "metrics"
    assert scope_of("/api/pull") == scope_of("/api/blobs/sha256:00") == "manage"
    assert scope_of("/api/chat") == scope_of("/v1/messages") == scope_of("/unknown") == "infer"
    assert scope_of("/api/pull/") == "manage"


def test_keys_are_shown_in_two_ways():
    assert key_of("Bearer abc", "") == key_of("", "abc") == key_of("bearer  abc ", "x") == "abc"
    assert key_of("Basic abc", "") == ""


def test_a_key_is_kept_as_its_hash_only(tmp_path):
    path = tmp_path / "keys"
    secret = add_key(path, "ci", ["infer", "manage"])
    assert secret not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    keys = Keys(path)
    assert keys.find(secret).scopes == ("infer", "manage")
    assert keys.find(secret + "x") is None
    second = add_key(path, "other", ["metrics"])
    assert keys.find(second).name == "other"  # the file is read again
    remove_key(path, "ci")
    assert keys.find(secret) is None
    path.write_text("half a li")
    assert keys.find(second) is None


def test_what_is_no_key_is_said_with_its_line(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# names\nci infer plain-text\n")
    with pytest.raises(InputError, match="line 2"):
        read_keys(path)
    with pytest.raises(InputError, match="no scope"):
        add_key(tmp_path / "new", "x", ["all"])
    with pytest.raises(InputError, match="not a name"):
        add_key(tmp_path / "new", "a b", ["infer"])
    with pytest.raises(NotFoundError):
        remove_key(tmp_path / "new", "x")


def settings(**environment: str) -> ServeSettings:
    no_auth = environment.pop("no_auth", "") == "yes"
    named = {f"MODELPACK_{key}": value for key, value in environment.items()}
    return ServeSettings.from_environment(named, no_auth=no_auth)


def test_others_are_let_in_only_with_keys_or_on_request(tmp_path):
    with pytest.raises(InputError, match="everybody"):
        rules_of(settings(HOST="0.0.0.0"))
    assert rules_of(settings(HOST="0.0.0.0", no_auth="yes")).keys is None
    add_key(tmp_path / "keys", "a", ["infer"])
    rules = rules_of(settings(HOST="0.0.0.0", API_KEYS_FILE=str(tmp_path / "keys")))
    assert rules.keys is not None
    assert not rules.checks_host
    with pytest.raises(NotFoundError):
        rules_of(settings(API_KEYS_FILE=str(tmp_path / "gone")))


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.1.1", "fe80::1%eth0", "::ffff:169.254.169.254", "fd00:ec2::254",
     "0.0.0.0", "::", "100.100.100.200", "224.0.0.1"],
)  # fmt: skip
def test_addresses_that_only_the_server_reaches_are_forbidden(address):
    assert is_forbidden(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "93.184.216.34", "2606:2800::1", "x"])
def test_registries_at_home_and_elsewhere_are_not(address):
    assert not is_forbidden(address)


def test_a_pull_names_only_registries_that_are_allowed():
    def check(host: str, *patterns: str) -> None:
        asyncio.run(Places(patterns or ("*",)).check(host))

    check("127.0.0.1:5000")
    check("localhost:5000", "localhost:*")
    check("ghcr.io", "*.example.com", "ghcr.io")
    for host in ("169.254.169.254", "169.254.169.254:80", "[fe80::1]:80", "0.0.0.0:5000"):
        with pytest.raises(RefusedError, match="may not be asked"):
            check(host)
    with pytest.raises(RefusedError):
        check("docker.io", "*.example.com")
    check("169.254.169.254", "169.254.169.254")  # named by whoever runs the server


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("127.0.0.1", "http://127.0.0.1:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("box:1", "http://box:1"),
        ("[::1]:99", "http://[::1]:99"),
        ("::1", "http://[::1]:11434"),
        ("http://box", "http://box:80"),
        ("https://box/models/", "https://box:443/models"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("[::]:7", "http://[::1]:7"),
    ],
)
def test_addresses_are_written_as_ollama_has_them(text, url):
    assert parse_address(text).for_clients.url == url


@pytest.mark.parametrize("text", ["ftp://x", "a b", "box:port", "box:99999", "http://u:p@x", "x?y"])
def test_what_is_no_address_is_said(text):
    with pytest.raises(InputError, match="not an address"):
        parse_address(text)


def test_loopback_is_told_from_the_rest():
    assert Address("::1").is_loopback
    assert Address("127.9.9.9").is_loopback
    assert not Address("0.0.0.0").is_loopback
    assert not Address("box").is_loopback


def test_rebinding_and_foreign_pages_are_refused(shared):
    assert shared.ask("GET", "/api/tags", headers={"Host": "evil.com"}).status_code == 403
    assert shared.ask("GET", "/api/tags", headers={"Origin": "http://evil.com"}).status_code == 403
    allowed = shared.ask("GET", "/api/tags", headers={"Origin": "http://localhost:3000"})
    assert allowed.headers["access-control-allow-origin"] == "http://localhost:3000"
    preflight = shared.ask(
        "OPTIONS",
        "/api/chat",
        headers={"Origin": "http://localhost:1", "Access-Control-Request-Method": "POST"},
    )
    assert preflight.status_code == 204
    assert "POST" in preflight.headers["access-control-allow-methods"]


def test_keys_are_asked_for_and_allow_what_they_say(tmp_path):
    path = tmp_path / "keys"
    infer, manage = add_key(path, "a", ["infer"]), add_key(path, "b", ["manage", "metrics"])
    with serving(tiny_store(tmp_path), MODELPACK_API_KEYS_FILE=str(path)) as served:

        def status(method: str, path: str, key: str = "", header: str = "Authorization") -> int:
            value = f"Bearer {key}" if header == "Authorization" else key
            headers = {header: value} if key else {}
            return served.ask(
                method, path, {} if method == "POST" else None, headers=headers
            ).status_code

        assert status("GET", "/") == status("GET", "/healthz") == 200
        assert status("GET", "/api/tags") == status("GET", "/metrics") == 401
        assert status("GET", "/api/tags", "wrong") == 401
        assert status("GET", "/api/tags", infer) == status("GET", "/v1/models", infer) == 200
        assert status("GET", "/api/tags", infer, "x-api-key") == 200
        assert status("POST", "/api/pull", infer) == status("GET", "/metrics", infer) == 403
        assert status("POST", "/api/pull", manage) == 400
        assert status("GET", "/metrics", manage) == 200
        assert status("GET", "/api/tags", manage) == 403


def test_variables_of_ollama_count_where_ours_are_not_set(tmp_path):
    theirs = {
        "OLLAMA_HOST": "127.0.0.1:1234",
        "OLLAMA_ORIGINS": "https://a.example,app://*",
        "OLLAMA_MODELS": str(tmp_path),
    }
    said = ServeSettings.from_environment(theirs)
    assert said.address.port == 1234
    assert said.origins == ("https://a.example", "app://*")
    assert Settings.from_environment(theirs).models == tmp_path
    ours = {name.replace("OLLAMA", "MODELPACK"): value for name, value in theirs.items()}
    others = {"OLLAMA_HOST": "127.0.0.1:9", "OLLAMA_ORIGINS": "https://b", "OLLAMA_MODELS": "/x"}
    assert ServeSettings.from_environment({**others, **ours}) == said
    assert Settings.from_environment({**others, **ours}).models == tmp_path
