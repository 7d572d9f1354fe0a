"""Which authorities are trusted, and to whom a client certificate is shown."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from fakes.certificates import certs_d
from fakes.models import build_model, context_at, serve_model
from fakes.registry import FakeRegistry, FakeTokens
from fakes.web import FakeServer, says

from modelpack.errors import InputError, NetworkError
from modelpack.ops.context import Network
from modelpack.ops.copy import copy_model
from modelpack.ops.pull import pull
from modelpack.ops.push import push


def pulled(folder, registry, **network):
    """Pull from *registry* into a fresh store below *folder*."""
    pull(context_at(folder, Network(**network)), f"{registry.host}/team/tiny:v1")


@pytest.fixture
def guarded(authority):
    """A registry that answers nobody without a client certificate."""
    registry = FakeRegistry()
    authority.secure(registry, clients="must")
    with registry:
        serve_model(registry)
        yield registry


@pytest.fixture
def network(authority):
    """Flags that name the authority and the client certificate."""
    return Network(
        ca_file=str(authority / "ca.pem"),
        cert_file=str(authority / "client.pem"),
        key_file=str(authority / "client.key"),
    )


def subjects(server: FakeServer, method: str, part: str) -> list[object]:
    """Return a list that tells whom *server* sees in each request from now on."""
    seen: list[object] = []

    def answer(exchange):
        shown = exchange.connection.getpeercert()
        seen.append(shown["subject"][0][0][1] if shown else None)
        server.answer(exchange)

    server.instead(method, part, answer)
    return seen


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"])
def test_a_variable_names_authorities(secure, authority, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(authority / "ca.pem"))
    pulled(tmp_path, secure)


def test_a_folder_of_authorities_is_one_that_openssl_rehash_made(
    secure, authority, tmp_path, monkeypatch
):
    folder = tmp_path / "authorities"
    folder.mkdir()
    shutil.copy(authority / "ca.pem", folder)
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    with pytest.raises(InputError, match=r"authorities \(SSL_CERT_DIR\) holds no certificate"):
        pulled(tmp_path, secure)
    subprocess.run(["openssl", "rehash", folder], check=True)
    pulled(tmp_path, secure)


@pytest.mark.parametrize(
    ("strong", "weak"),
    [("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"), ("CURL_CA_BUNDLE", "SSL_CERT_FILE")],
)
def test_the_first_variable_counts_alone(secure, authority, tmp_path, monkeypatch, strong, weak):
    monkeypatch.setenv(strong, str(authority / "other.pem"))
    monkeypatch.setenv(weak, str(authority / "ca.pem"))
    with pytest.raises(NetworkError, match="is not trusted"):
        pulled(tmp_path, secure)


def test_a_file_that_is_named_is_trusted_alone(secure, authority, tmp_path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority / "ca.pem"))
    with pytest.raises(NetworkError, match="is not trusted"):
        pulled(tmp_path, secure, ca_file=str(authority / "other.pem"))


@pytest.mark.parametrize("tool", ["docker", "containers"])
def test_certs_d_names_authorities_of_one_host(
    secure, authority, tmp_path, clean_environment, tool
):
    folder = clean_environment / ".config" / tool / "certs.d"
    (folder / "127.0.0.1:1").mkdir(parents=True)
    shutil.copy(authority / "ca.pem", folder / "127.0.0.1:1" / "ca.crt")
    with pytest.raises(NetworkError, match="is not trusted"):
        pulled(tmp_path, secure)
    (folder / "127.0.0.1:1").rename(folder / secure.host)
    pulled(tmp_path, secure)


def test_certs_d_adds_to_what_a_variable_says(
    secure, authority, tmp_path, clean_environment, monkeypatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "other.pem"))
    certs_d(clean_environment, secure.host, ca_crt=authority / "ca.pem")
    pulled(tmp_path, secure)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority / "ca.pem"))
    certs_d(clean_environment, secure.host, ca_crt=authority / "other.pem")
    pulled(tmp_path / "again", secure)


@pytest.mark.parametrize(
    ("name", "said"), [("expired", "has expired"), ("stranger", "is for another name")]
)
def test_what_is_wrong_with_a_certificate_is_said(authority, tmp_path, name, said):
    registry = FakeRegistry()
    authority.secure(registry, name)
    with registry, pytest.raises(NetworkError) as caught:
        pulled(tmp_path, registry, ca_file=str(authority / "ca.pem"))
    assert str(caught.value) == f"the certificate of {registry.host} {said}"
    assert caught.value.hint


def test_a_registry_may_want_a_client_certificate(guarded, authority, tmp_path):
    with pytest.raises(NetworkError, match="wants a client certificate") as caught:
        pulled(tmp_path, guarded, ca_file=str(authority / "ca.pem"))
    assert "--cert-file" in caught.value.hint
    with pytest.raises(NetworkError, match="refused our TLS: unknown ca"):
        pulled(
            tmp_path,
            guarded,
            ca_file=str(authority / "ca.pem"),
            cert_file=str(authority / "visitor.pem"),
            key_file=str(authority / "visitor.key"),
        )
    assert guarded.seen == []


def test_a_client_certificate_is_named_by_flags(guarded, network, tmp_path):
    pull(context_at(tmp_path / "there", network), f"{guarded.host}/team/tiny:v1")
    here = context_at(tmp_path / "here", network)
    build_model(here, tmp_path, "tiny")
    push(here, "tiny", f"{guarded.host}/team/other:v1")


def test_certificate_and_key_may_be_in_one_file(guarded, authority, tmp_path):
    both = tmp_path / "both.pem"
    both.write_bytes((authority / "client.key").read_bytes())
    with both.open("ab") as file:
        file.write((authority / "client.pem").read_bytes())
    pulled(tmp_path, guarded, ca_file=str(authority / "ca.pem"), cert_file=str(both))


def test_a_client_certificate_is_found_in_certs_d(guarded, authority, tmp_path, clean_environment):
    certs_d(
        clean_environment,
        guarded.host,
        ca_crt=authority / "ca.pem",
        me_cert=authority / "client.pem",
        me_key=authority / "client.key",
    )
    pulled(tmp_path, guarded)


def test_insecure_still_shows_the_client_certificate(guarded, authority, tmp_path):
    certificate, key = str(authority / "client.pem"), str(authority / "client.key")
    pulled(tmp_path, guarded, insecure=True, cert_file=certificate, key_file=key)


@pytest.mark.parametrize(("there", "missing"), [("cert", "key"), ("key", "cert")])
def test_half_a_pair_in_certs_d_is_an_error(
    guarded, authority, tmp_path, clean_environment, there, missing
):
    folder = certs_d(clean_environment, guarded.host, **{f"me_{there}": authority / "client.pem"})
    with pytest.raises(InputError) as caught:
        pulled(tmp_path, guarded)
    assert str(caught.value) == f"{folder}/me.{there} has no me.{missing} beside it"


def test_a_redirect_elsewhere_does_not_see_the_client_certificate(
    guarded, authority, network, tmp_path
):
    layer = serve_model(guarded)["layers"][0]["digest"]
    storage = FakeRegistry()
    authority.secure(storage, clients="may")
    with storage:
        storage.blobs.update(guarded.blobs)
        where = f"{storage.url}/v2/team/tiny/blobs/{layer}"
        guarded.instead("GET", layer, says(307, Location=where))
        seen = subjects(storage, "GET", "")
        own = subjects(guarded, "GET", "/manifests/")
        pull(context_at(tmp_path, network), f"{guarded.host}/team/tiny:v1")
    assert (set(seen), set(own)) == ({None}, {"client"})


def test_a_token_service_elsewhere_does_not_see_the_client_certificate(
    authority, network, tmp_path
):
    tokens = FakeTokens()
    authority.secure(tokens, clients="may")
    registry = FakeRegistry(tokens=tokens)
    authority.secure(registry, clients="must")
    with tokens, registry:
        serve_model(registry)
        seen = subjects(tokens, "GET", "/token")
        pull(context_at(tmp_path, network), f"{registry.host}/team/tiny:v1")
    assert set(seen) == {None}


def test_an_upload_elsewhere_does_not_see_the_client_certificate(
    guarded, authority, network, tmp_path
):
    storage = FakeRegistry()
    authority.secure(storage, clients="may")
    with storage:
        guarded.uploads.base = storage.url
        storage.uploads = guarded.uploads
        seen = subjects(storage, "PUT", "")
        here = context_at(tmp_path, network)
        build_model(here, tmp_path, "tiny")
        push(here, "tiny", f"{guarded.host}/team/other:v1")
    assert set(seen) == {None}


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_file_that_is_not_there_is_named_with_its_variable(
    secure, tmp_path, monkeypatch, variable
):
    monkeypatch.setenv(variable, "/nowhere/ca.pem")
    with pytest.raises(InputError) as caught:
        pulled(tmp_path, secure)
    assert str(caught.value) == (
        f"cannot read /nowhere/ca.pem ({variable}): No such file or directory"
    )


def test_a_certificate_and_key_that_cannot_be_used_are_named(secure, authority, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing\n")
    certificate, key = authority / "client.pem", authority / "client.key"
    locked, stranger = authority.encrypted("client"), authority / "visitor.key"
    for cert_file, key_file, said in [
        (empty, key, f"{empty} (--cert-file) holds no certificate"),
        (certificate, empty, f"{empty} (--key-file) holds no private key"),
        (certificate, certificate, f"{certificate} (--key-file) holds no private key"),
        (certificate, locked, f"the key in {locked} (--key-file) is encrypted"),
        (
            certificate,
            stranger,
            (
                f"the key in {stranger} (--key-file) does not belong to the certificate in "
                f"{certificate} (--cert-file)"
            ),
        ),
    ]:
        with pytest.raises(InputError) as caught:
            pulled(
                tmp_path,
                secure,
                ca_file=str(authority / "ca.pem"),
                cert_file=str(cert_file),
                key_file=str(key_file),
            )
        assert str(caught.value) == said


def test_without_authorities_of_the_system_those_of_certifi_are_trusted(
    secure, authority, tmp_path, monkeypatch
):
    monkeypatch.setattr("certifi.where", lambda: str(authority / "ca.pem"))
    with pytest.raises(NetworkError, match="is not trusted"):
        pulled(tmp_path, secure)
    monkeypatch.setattr("ssl.SSLContext.load_default_certs", lambda _context: None)
    monkeypatch.setattr("modelpack.registry.trust._is_hashed", lambda _folder: False)
    pulled(tmp_path, secure)


def test_the_configuration_file_says_it_for_each_registry(
    guarded, authority, tmp_path, clean_environment
):
    folder = clean_environment / ".modelpack"
    folder.mkdir()
    shutil.copy(authority / "ca.pem", folder / "team.pem")
    (folder / "config.yaml").write_text(
        f"registries:\n  {guarded.host}:\n    ca-file: team.pem\n"
        f"    cert-file: {authority / 'client.pem'}\n    key-file: {authority / 'client.key'}\n"
    )
    other = FakeRegistry()
    authority.secure(other, clients="may")
    with other:
        seen = subjects(other, "GET", "")
        names = [f"{host}/team/tiny:v1" for host in (guarded.host, other.host)]
        with pytest.raises(NetworkError, match=f"certificate of {other.host} is not trusted"):
            copy_model(context_at(tmp_path), *names)
        certs_d(clean_environment, other.host, ca_crt=authority / "ca.pem")
        copy_model(context_at(tmp_path), *names)
    assert set(seen) <= {None}
    assert ("team/tiny", "v1") in other.manifests


def test_a_file_of_the_configuration_is_named_with_its_place(secure, tmp_path, clean_environment):
    folder = clean_environment / ".modelpack"
    folder.mkdir()
    (folder / "config.yaml").write_text(f"registries: {{'{secure.host}': {{ca-file: no.pem}}}}")
    with pytest.raises(InputError) as caught:
        pulled(tmp_path, secure)
    assert str(caught.value) == (
        f"cannot read {folder}/no.pem (ca-file in {folder}/config.yaml): No such file or directory"
    )
