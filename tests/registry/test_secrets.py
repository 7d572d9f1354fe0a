"""Credentials stay with the registry they are for."""

from __future__ import annotations

import pytest
from fakes.logins import logged_in
from fakes.models import build_model, serve_model
from fakes.registry import FakeRegistry, basic
from fakes.web import says

from modelpack.errors import AuthenticationError, ModelPackError
from modelpack.ops.pull import pull
from modelpack.ops.push import push

SECRET = basic("ann", "s3cret")


@pytest.fixture
def registry(clean_environment):
    with FakeRegistry(users={"ann": "s3cret"}) as registry:
        logged_in(clean_environment, registry.host)
        yield registry


@pytest.fixture
def elsewhere():
    with FakeRegistry() as other:
        yield other


def test_the_password_goes_to_its_registry_only_after_a_challenge(registry, there):
    serve_model(registry)
    pull(there, f"{registry.host}/team/tiny:v1")
    first, *rest = registry.asked("GET", "/manifests/")
    assert first.authorization == ""
    assert {seen.authorization for seen in rest} == {SECRET}


def test_the_password_does_not_follow_a_redirect(registry, elsewhere, there):
    layer = serve_model(registry)["layers"][0]["digest"]
    elsewhere.blobs.update(registry.blobs)
    registry.instead(
        "GET", layer, says(307, Location=f"{elsewhere.url}/v2/team/tiny/blobs/{layer}")
    )
    pull(there, f"{registry.host}/team/tiny:v1")
    assert registry.asked("GET", layer)[-1].authorization == SECRET
    (followed,) = elsewhere.asked("GET", layer)
    assert followed.authorization == ""


def test_the_password_does_not_go_to_an_upload_elsewhere(registry, elsewhere, here, tmp_path):
    registry.uploads.base = elsewhere.url
    elsewhere.uploads = registry.uploads
    build_model(here, tmp_path, "tiny")
    push(here, "tiny", f"{registry.host}/team/tiny:v1")
    assert elsewhere.asked("PUT")
    assert {seen.authorization for seen in elsewhere.seen} == {""}


@pytest.mark.parametrize("scheme", ["Basic", "Bearer"])
def test_a_challenge_from_elsewhere_is_not_answered(registry, elsewhere, there, scheme):
    layer = serve_model(registry)["layers"][0]["digest"]
    where = f"{elsewhere.url}/v2/team/tiny/blobs/{layer}"
    registry.instead("GET", layer, says(307, Location=where))
    challenge = f'{scheme} realm="{elsewhere.url}/token",service="x"'
    elsewhere.instead("GET", "", says(401, WWW_Authenticate=challenge))
    with pytest.raises(AuthenticationError):
        pull(there, f"{registry.host}/team/tiny:v1")
    assert {seen.authorization for seen in elsewhere.seen} == {""}
    assert elsewhere.asked("GET", "/token") == []


def test_netrc_is_not_used(elsewhere, there, clean_environment, monkeypatch):
    netrc = clean_environment / ".netrc"
    netrc.write_text("machine 127.0.0.1 login ann password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    layer = serve_model(elsewhere)["layers"][0]["digest"]
    with FakeRegistry() as storage:
        storage.blobs.update(elsewhere.blobs)
        where = f"{storage.url}/v2/team/tiny/blobs/{layer}"
        elsewhere.instead("GET", layer, says(307, Location=where))
        pull(there, f"{elsewhere.host}/team/tiny:v1")
        assert {seen.authorization for seen in elsewhere.seen + storage.seen} == {""}
        assert storage.asked("GET", layer)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_no_error_shows_a_password(registry, there, status):
    serve_model(registry)
    registry.instead("GET", "/manifests/", says(401, WWW_Authenticate="Basic"), times=1)
    registry.instead("GET", "/manifests/", says(status, b"no"))
    with pytest.raises(ModelPackError) as caught:
        pull(there, f"{registry.host}/team/tiny:v1")
    shown = f"{caught.value} {caught.value.hint} {caught.value!r}"
    assert "s3cret" not in shown
    assert SECRET.split()[1] not in shown
