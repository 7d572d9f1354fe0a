"""Who is let in: htpasswd and TLS."""

from __future__ import annotations

import base64
import shutil
import subprocess

import bcrypt
import pytest
import requests
from server.conftest import Client, code_of

from modelpack.errors import InputError
from modelpack.server.registry import RegistrySettings, auth, running


@pytest.fixture
def htpasswd(tmp_path):
    path = tmp_path / "htpasswd"
    lines = [
        "# users",
        "ann:" + bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode(),
        "bob:" + bcrypt.hashpw("pässword".encode(), bcrypt.gensalt(4)).decode(),
        "",
    ]
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def guarded(root, htpasswd, session):
    settings = RegistrySettings(root=root, listen="127.0.0.1:0", htpasswd=htpasswd)
    with running(settings) as base:
        yield Client(base, session)
        session.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificate")
    cert, key = folder / "tls.crt", folder / "tls.key"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", str(key), "-out", str(cert)],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


@pytest.mark.parametrize("path", ["/v2/", "/v2/demo/a/tags/list", "/v2/_catalog", "/other"])
def test_without_a_password_nothing_is_answered(guarded, path):
    answer = guarded.ask("GET", path)
    assert code_of(answer) == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith('Basic realm="')


@pytest.mark.parametrize(
    ("user", "password"),
    [("ann", "wrong"), ("ann", ""), ("eve", "secret"), ("", ""), ("Ann", "secret")],
)
def test_a_wrong_password_or_user_is_refused(guarded, user, password):
    assert guarded.ask("GET", "/v2/", auth=(user, password)).status_code == 401


@pytest.mark.parametrize(
    "header", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"ann").decode(), "Bearer x"]
)
def test_a_header_that_is_no_basic_authorization_is_refused(guarded, header):
    assert guarded.ask("GET", "/v2/", headers={"Authorization": header}).status_code == 401


def test_a_right_password_opens_everything(guarded):
    guarded.session.auth = ("ann", "secret")
    assert guarded.ask("GET", "/v2/").status_code == 200
    digest = guarded.push(b"content")
    assert guarded.ask("GET", f"/v2/demo/a/blobs/{digest}").content == b"content"
    guarded.session.auth = ("bob", "pässword".encode())
    assert guarded.ask("GET", "/v2/").status_code == 200


def test_the_slow_check_is_made_once_for_a_right_password(guarded, monkeypatch):
    checked = []
    slow = bcrypt.checkpw
    monkeypatch.setattr(auth.bcrypt, "checkpw", lambda *a: checked.append(a) or slow(*a))
    for _ in range(5):
        assert guarded.ask("GET", "/v2/", auth=("ann", "secret")).status_code == 200
    assert len(checked) == 1
    for _ in range(2):
        assert guarded.ask("GET", "/v2/", auth=("ann", "wrong")).status_code == 401
    assert len(checked) == 3


def test_a_user_who_is_not_there_takes_the_slow_check_too(guarded, monkeypatch):
    checked = []
    slow = bcrypt.checkpw
    monkeypatch.setattr(auth.bcrypt, "checkpw", lambda *a: checked.append(a) or slow(*a))
    assert guarded.ask("GET", "/v2/", auth=("eve", "secret")).status_code == 401
    assert len(checked) == 1


def test_the_htpasswd_program_writes_what_is_read(tmp_path):
    if shutil.which("htpasswd") is None:
        pytest.skip("htpasswd is not installed")
    path = tmp_path / "htpasswd"
    password = "x" * 100  # bcrypt reads 72
    made = subprocess.run(
        ["htpasswd", "-Bbn", "-C", "4", "ann", password], check=True, capture_output=True
    )
    path.write_bytes(made.stdout)
    assert auth.Htpasswd.load(path).verify("ann", password.encode())


@pytest.mark.parametrize(
    "line", ["ann:$apr1$x$y", "ann:{SHA}qUqP5cyxm6YcTAhz05Hph5gvu9M=", "ann:plain", "ann", ":$2y$x"]
)
def test_a_line_that_is_not_bcrypt_is_refused_by_its_number(tmp_path, line):
    path = tmp_path / "htpasswd"
    path.write_text(f"# users\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        auth.Htpasswd.load(path)


def test_an_htpasswd_file_without_users_is_refused(tmp_path):
    path = tmp_path / "htpasswd"
    path.write_text("# nobody\n")
    with pytest.raises(InputError, match="no users"):
        auth.Htpasswd.load(path)


def test_tls_is_spoken_with_the_certificate(root, htpasswd, certificate, session):
    cert, key = certificate
    settings = RegistrySettings(
        root=root, listen="127.0.0.1:0", htpasswd=htpasswd, tls_cert=cert, tls_key=key
    )
    with running(settings) as base:
        assert base.startswith("https://")
        session.verify = str(cert)
        client = Client(base, session)
        assert client.ask("GET", "/v2/").status_code == 401
        session.auth = ("ann", "secret")
        data = bytes(3_000_000)
        digest = client.push(data)
        assert client.ask("GET", f"/v2/demo/a/blobs/{digest}").content == data
        session.close()
        with pytest.raises(requests.exceptions.SSLError), requests.Session() as stranger:
            stranger.get(f"{base}/v2/", timeout=30)


def test_a_certificate_needs_its_key(root, certificate):
    settings = RegistrySettings(root=root, tls_cert=certificate[0])
    with pytest.raises(InputError, match="needs its key"):
        settings.check()


def test_a_certificate_with_another_key_is_refused(root, certificate, tmp_path):
    key = tmp_path / "other.key"
    key.write_text("not a key")
    settings = RegistrySettings(
        root=root, listen="127.0.0.1:0", tls_cert=certificate[0], tls_key=key
    )
    with pytest.raises(InputError, match="not a certificate and its key"), running(settings):
        pass
