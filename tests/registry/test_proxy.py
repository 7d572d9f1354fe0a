"""Proxies from the environment."""

from __future__ import annotations

import gzip
import threading

import pytest
from fakes.models import build_model, context_at, serve_model
from fakes.proxy import ForwardProxy
from fakes.registry import FakeRegistry, basic
from fakes.web import says, stalls, switched_off

from modelpack import limits
from modelpack.errors import InputError, ModelPackError, NetworkError
from modelpack.ops.context import Network
from modelpack.ops.pull import pull
from modelpack.ops.push import push
from modelpack.registry.failures import network_errors
from modelpack.registry.proxies import proxy_for
from modelpack.registry.session import Ask, Session

NAME = "registry.example"
MODEL = f"{NAME}/team/tiny:v1"


@pytest.fixture
def proxy(secure):
    """A proxy that knows the registry that speaks TLS as `registry.example`."""
    with ForwardProxy({f"{NAME}:443": secure.host}) as proxy:
        yield proxy


@pytest.fixture
def network(authority):
    return Network(ca_file=str(authority / "ca.pem"))


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_https_goes_through_the_proxy(proxy, network, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, proxy.url)
    pull(context_at(tmp_path, network), MODEL)
    assert set(proxy.wanted) == {f"CONNECT {NAME}:443"}


def test_plain_http_goes_through_the_proxy_too(tmp_path, monkeypatch):
    with FakeRegistry() as registry, ForwardProxy() as proxy:
        serve_model(registry)
        proxy.places.update({f"{NAME}:443": registry.host, NAME: registry.host})
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        context = context_at(tmp_path, Network(insecure=True))
        pull(context, MODEL)
        build_model(context, tmp_path, "tiny")
        push(context, "tiny", f"{NAME}/team/other:v1")
    assert f"GET http://{NAME}/v2/team/tiny/manifests/v1" in proxy.wanted
    assert ("team/other", "v1") in registry.manifests


def test_a_proxy_may_speak_tls_itself(secure, authority, network, tmp_path, monkeypatch):
    proxy = ForwardProxy({f"{NAME}:443": secure.host})
    authority.secure(proxy)
    with proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        pull(context_at(tmp_path, network), MODEL)
    assert set(proxy.wanted) == {f"CONNECT {NAME}:443"}


def test_what_comes_through_two_layers_of_tls_can_be_broken_off(
    secure, authority, network, tmp_path, monkeypatch
):
    proxy = ForwardProxy({f"{NAME}:443": secure.host})
    authority.secure(proxy)
    over = threading.Event()
    secure.instead("GET", "/v2/", stalls(b"begin", 100, over))
    with proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        connection = context_at(tmp_path, network).connection(NAME)
        with Session(NAME, "team/tiny", connection) as session:
            ask = Ask("GET", session.url("tags/list"), "tags")
            with (
                pytest.raises(NetworkError),
                session.request(ask, 200) as answer,
                network_errors(NAME),
            ):
                assert answer.read(5) == b"begin"
                session.interrupt()
                answer.read(95)
        over.set()


@pytest.fixture
def session(proxy, network, tmp_path, monkeypatch):
    """A session whose answers come through the proxy."""
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with Session(NAME, "team/tiny", context_at(tmp_path, network).connection(NAME)) as session:
        yield session


def test_records_of_tls_are_read_as_one(session, secure, monkeypatch):
    body = bytes(range(256)) * 256
    monkeypatch.setattr(limits, "POUR_S", 60.0)
    secure.instead("GET", "/v2/", says(200, body))
    with session.request(Ask("GET", session.url("tags/list"), "tags"), 200) as answer:
        assert answer.read(len(body) + 1) == body
        assert answer.read(1) == b""


def test_what_is_packed_on_the_way_is_unpacked(session, secure):
    body = b"tags" * 100_000
    secure.instead("GET", "/v2/", says(200, gzip.compress(body), Content_Encoding="gzip"))
    with session.request(Ask("GET", session.url("tags/list"), "tags"), 200) as answer:
        assert b"".join(iter(lambda: answer.read(1 << 20), b"")) == body


def test_a_registry_behind_the_proxy_sees_the_client_certificate(authority, tmp_path, monkeypatch):
    registry = FakeRegistry()
    authority.secure(registry, clients="must")
    network = Network(
        ca_file=str(authority / "ca.pem"),
        cert_file=str(authority / "client.pem"),
        key_file=str(authority / "client.key"),
    )
    with registry, ForwardProxy({f"{NAME}:443": registry.host}) as proxy:
        serve_model(registry)
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        pull(context_at(tmp_path, network), MODEL)


def test_the_certificate_is_verified_through_the_proxy(proxy, authority, tmp_path, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(NetworkError, match=f"the certificate of {NAME} is not trusted"):
        pull(context_at(tmp_path), MODEL)
    proxy.places["elsewhere.example:443"] = proxy.places[f"{NAME}:443"]
    network = Network(ca_file=str(authority / "ca.pem"))
    with pytest.raises(NetworkError, match=r"of elsewhere.example is for another name"):
        pull(context_at(tmp_path, network), "elsewhere.example/team/tiny:v1")


def test_this_machine_is_reached_directly(secure, network, tmp_path, monkeypatch):
    with switched_off() as nobody:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{nobody}")
        monkeypatch.setenv("HTTP_PROXY", f"http://{nobody}")
        pull(context_at(tmp_path, network), f"{secure.host}/team/tiny:v1")


def test_a_redirect_goes_through_the_proxy(proxy, secure, network, tmp_path, monkeypatch):
    layer = serve_model(secure)["layers"][0]["digest"]
    where = f"https://{NAME}/v2/team/tiny/blobs/{layer}"
    secure.instead("GET", layer, says(307, Location=where), times=2)  # asked again by requests
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    pull(context_at(tmp_path, network), f"{secure.host}/team/tiny:v1")
    assert proxy.wanted == [f"CONNECT {NAME}:443"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_gets_its_login_and_nobody_else_does(
    secure, authority, tmp_path, monkeypatch, scheme
):
    login = basic("ann", "s3/cret")
    with FakeRegistry() as plain, ForwardProxy(login=login) as proxy:
        registry = secure if scheme == "https" else plain
        serve_model(plain)
        proxy.places.update({f"{NAME}:443": registry.host, NAME: registry.host})
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(variable, f"http://ann:s3%2Fcret@{proxy.host}")
        network = Network(insecure=scheme == "http", ca_file="")
        if scheme == "https":
            network = Network(ca_file=str(authority / "ca.pem"))
        pull(context_at(tmp_path, network), MODEL)
    assert registry.seen
    assert not any("proxy-authorization" in seen.headers for seen in registry.seen)


@pytest.mark.parametrize("insecure", [False, True])
def test_a_proxy_that_wants_a_login_is_named(secure, tmp_path, monkeypatch, insecure):
    with ForwardProxy({f"{NAME}:443": secure.host}, login=basic("ann", "right")) as proxy:
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(variable, f"http://ann:s3cret@{proxy.host}")
        with pytest.raises(NetworkError) as caught:
            pull(context_at(tmp_path, Network(insecure=insecure)), MODEL)
    assert str(caught.value) == f"the proxy {proxy.host} wants a login"
    assert "HTTPS_PROXY" in caught.value.hint


def test_a_login_is_wanted_for_plain_http_too(tmp_path, monkeypatch):
    with ForwardProxy(login=basic("ann", "right")) as proxy:
        proxy.instead("CONNECT", "", says(403))
        for variable in ("HTTPS_PROXY", "HTTP_PROXY"):
            monkeypatch.setenv(variable, proxy.url)
        with pytest.raises(NetworkError, match=f"the proxy {proxy.host} wants a login") as caught:
            pull(context_at(tmp_path, Network(insecure=True)), MODEL)
    assert "HTTP_PROXY" in caught.value.hint


def test_the_login_of_a_proxy_does_not_follow_a_redirect_past_it(tmp_path, monkeypatch):
    with FakeRegistry() as registry, FakeRegistry() as storage, switched_off() as nobody:
        layer = serve_model(registry)["layers"][0]["digest"]
        storage.blobs.update(registry.blobs)
        where = f"{storage.url}/v2/team/tiny/blobs/{layer}"
        registry.instead("GET", layer, says(307, Location=where))
        monkeypatch.setenv("HTTP_PROXY", f"http://ann:s3cret@{nobody}")
        pull(context_at(tmp_path), f"{registry.host}/team/tiny:v1")
        assert storage.asked("GET", layer)
        assert not any("proxy-authorization" in seen.headers for seen in storage.seen)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer_is_named_without_its_password(tmp_path, monkeypatch, scheme):
    with switched_off() as nobody:
        monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://ann:s3cret@{nobody}")
        with pytest.raises(NetworkError) as caught:
            pull(context_at(tmp_path), MODEL)
    assert str(caught.value).startswith(f"cannot reach the proxy {nobody}: ")
    assert "HTTPS_PROXY" in caught.value.hint
    assert "s3cret" not in f"{caught.value!r} {caught.value.hint}"


def test_a_proxy_that_refuses_a_registry_is_named(proxy, tmp_path, monkeypatch):
    proxy.instead("CONNECT", "", says(403))
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(NetworkError, match=f"the proxy {proxy.host} refused a connection: .*403"):
        pull(context_at(tmp_path), MODEL)


def test_a_proxy_that_refuses_tls_may_still_forward_plain_http(tmp_path, monkeypatch):
    with FakeRegistry() as registry, ForwardProxy({NAME: registry.host}) as proxy:
        serve_model(registry)
        proxy.instead("CONNECT", "", says(403))
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        pull(context_at(tmp_path, Network(insecure=True)), MODEL)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://proxy.example",
        "http://",
        "http://proxy.example:many",
        "http://ann:s3cret@[proxy:80",
        "http://ann:12#s3cret@proxy.example:3128",
        "http://ann:s3cret/x@proxy.example",
    ],
)
def test_what_is_no_proxy_is_refused_without_being_shown(tmp_path, monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(InputError) as caught:
        pull(context_at(tmp_path), MODEL)
    assert str(caught.value) == "HTTPS_PROXY is not the URL of a proxy"


def test_a_socks_proxy_needs_an_extra_package(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ModelPackError, match="ALL_PROXY names a SOCKS proxy"):
        pull(context_at(tmp_path), MODEL)


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [
        ("", False),
        ("*", True),
        ("registry.example", True),
        ("REGISTRY.example", True),
        ("other.example, example", True),
        (".example", True),
        ("*.example", True),
        ("registry.example:5000", True),
        ("registry.example:443", False),
        ("istry.example", False),
        ("example.registry", False),
        ("10.0.0.0/8", False),
    ],
)
def test_no_proxy_names_who_is_reached_directly(exceptions, direct):
    environment = {"https_proxy": "proxy.example:3128", "NO_PROXY": exceptions}
    found = proxy_for("https://Registry.example:5000/v2/", environment)
    assert (found is None) is direct
    assert found is None or (found.url, found.name, found.variable) == (
        "http://proxy.example:3128",
        "proxy.example:3128",
        "https_proxy",
    )


@pytest.mark.parametrize(
    ("exceptions", "direct"),
    [("10.0.0.0/8", True), ("10.1.2.3", True), ("10.1.2.3:5000", True), ("10.1.2.4", False),
     ("10.1.2.3:443", False), ("192.168.0.0/16", False)],
)  # fmt: skip
def test_no_proxy_knows_addresses(exceptions, direct):
    environment = {"ALL_PROXY": "http://proxy.example", "no_proxy": exceptions}
    assert (proxy_for("https://10.1.2.3:5000/v2/", environment) is None) is direct


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:5000"])
def test_the_loopback_never_has_a_proxy(host):
    assert proxy_for(f"https://{host}/v2/", {"HTTPS_PROXY": "http://proxy.example"}) is None


def test_a_proxy_keeps_its_password_to_itself():
    proxy = proxy_for("http://10.0.0.1/", {"HTTP_PROXY": "http://ann:s3cret@proxy.example"})
    assert "s3cret" not in repr(proxy)
