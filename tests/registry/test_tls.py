"""TLS with an authority of one's own, and plain HTTP where it is allowed."""

from __future__ import annotations

import pytest
from fakes.models import context_at, files_in, serve_model
from fakes.registry import FakeRegistry

from modelpack.errors import InputError, NetworkError
from modelpack.ops.context import Network
from modelpack.ops.pull import pull
from modelpack.registry.proxies import is_loopback


def test_an_unknown_authority_is_not_trusted(secure, tmp_path):
    context = context_at(tmp_path)
    with pytest.raises(NetworkError, match=f"certificate of {secure.host} is not") as caught:
        pull(context, f"{secure.host}/team/tiny:v1")
    assert "--ca-file" in caught.value.hint
    assert "--insecure" in caught.value.hint
    assert files_in(context) == []
    assert secure.seen == []


def test_a_named_authority_is_trusted(secure, authority, tmp_path):
    network = Network(ca_file=str(authority / "ca.pem"))
    pull(context_at(tmp_path, network), f"{secure.host}/team/tiny:v1")


def test_a_certificate_of_another_authority_is_not_trusted(secure, authority, tmp_path):
    network = Network(ca_file=str(authority / "other.pem"))
    with pytest.raises(NetworkError, match="is not trusted"):
        pull(context_at(tmp_path, network), f"{secure.host}/team/tiny:v1")


def test_insecure_trusts_everybody_without_warnings(secure, tmp_path, recwarn):
    pull(context_at(tmp_path, Network(insecure=True)), f"{secure.host}/team/tiny:v1")
    assert list(recwarn) == []


def test_insecure_still_speaks_tls_where_it_can(secure, tmp_path):
    pull(context_at(tmp_path, Network(insecure=True)), f"{secure.host}/team/tiny:v1")
    assert secure.url.startswith("https:")
    assert secure.seen


def test_a_file_that_holds_no_authorities_is_called_so(secure, tmp_path):
    path = tmp_path / "nonsense.pem"
    path.write_text("hello\n")
    with pytest.raises(InputError, match="holds no certificate authorities"):
        pull(context_at(tmp_path, Network(ca_file=str(path))), f"{secure.host}/team/tiny:v1")


def test_the_loopback_may_do_without_tls(tmp_path):
    with FakeRegistry() as registry:
        serve_model(registry)
        pull(context_at(tmp_path), f"{registry.host}/team/tiny:v1")


@pytest.mark.parametrize("insecure", [False, True])
def test_other_hosts_do_without_tls_only_when_told(tmp_path, monkeypatch, insecure):
    monkeypatch.setattr("modelpack.registry.session.is_loopback", lambda _host: False)
    context = context_at(tmp_path, Network(insecure=insecure))
    with FakeRegistry() as registry:
        serve_model(registry)
        if insecure:
            pull(context, f"{registry.host}/team/tiny:v1")
            return
        with pytest.raises(NetworkError, match="does not speak TLS") as caught:
            pull(context, f"{registry.host}/team/tiny:v1")
    assert caught.value.hint == "for plain HTTP use --insecure"
    assert registry.seen == []


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5000", True),
        ("127.8.9.1", True),
        ("[::1]:5000", True),
        ("localhost", True),
        ("localhost:5000", True),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
        ("10.0.0.1:5000", False),
        ("registry.example", False),
    ],
)
def test_the_loopback_is_known_by_its_address(host, expected):
    assert is_loopback(host) is expected
