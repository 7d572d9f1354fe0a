"""Bearer tokens from a service on another port."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from fakes.logins import logged_in, stored
from fakes.models import build_model, context_at, files_in, serve_model
from fakes.registry import FakeRegistry, FakeTokens, basic
from fakes.web import html, says
from support.models import LAYERED

from modelpack.errors import AuthenticationError, RegistryError
from modelpack.ops.context import Network
from modelpack.ops.login import login
from modelpack.ops.pull import pull
from modelpack.ops.push import push

USERS = {"ann": "s3cret"}


@pytest.fixture
def tokens():
    with FakeTokens(USERS) as tokens:
        yield tokens


@pytest.fixture
def registry(tokens):
    with FakeRegistry(tokens=tokens) as registry:
        yield registry


def asked_of(request):
    return {key: value[0] for key, value in parse_qs(urlsplit(request.path).query).items()}


def test_a_public_model_is_pulled_with_an_anonymous_token(registry, tokens, there):
    serve_model(registry)
    pull(there, f"{registry.host}/team/tiny:v1")
    (asked,) = tokens.seen
    assert asked_of(asked) == {"service": "fake.example", "scope": "repository:team/tiny:pull"}
    assert asked.authorization == ""


def test_a_push_says_who_asks_for_what(registry, tokens, here, tmp_path, clean_environment):
    build_model(here, tmp_path, "tiny")
    logged_in(clean_environment, registry.host)
    push(here, "tiny", f"{registry.host}/team/tiny:v1")
    assert asked_of(tokens.seen[0]) == {
        "service": "fake.example",
        "scope": "repository:team/tiny:pull,push",
        "account": "ann",
    }
    assert tokens.seen[0].authorization == basic("ann", "s3cret")


def test_one_token_serves_a_whole_push(registry, tokens, here, tmp_path, clean_environment):
    build_model(here, tmp_path, "tiny", cut=LAYERED)
    logged_in(clean_environment, registry.host)
    push(here, "tiny", f"{registry.host}/team/tiny:v1")
    assert len(tokens.seen) == 1
    assert {seen.authorization for seen in registry.asked("PUT")} == {"Bearer token-0"}


def test_no_body_is_sent_before_there_is_a_token(registry, here, tmp_path, clean_environment):
    build_model(here, tmp_path, "tiny")
    logged_in(clean_environment, registry.host)
    registry.instead("HEAD", "/blobs/", says(404))
    push(here, "tiny", f"{registry.host}/team/tiny:v1")
    bare = [seen for seen in registry.seen if not seen.authorization]
    assert bare
    assert {seen.body for seen in bare} == {b""}


def test_each_repository_has_a_token_of_its_own(registry, tokens, there):
    for repo in ("team/one", "team/two"):
        serve_model(registry, repo)
        pull(there, f"{registry.host}/{repo}:v1")
    scopes = [asked_of(seen)["scope"] for seen in tokens.seen]
    assert scopes == ["repository:team/one:pull", "repository:team/two:pull"]


def test_an_expired_token_is_renewed_once(registry, tokens, tmp_path):
    serve_model(registry)

    def expire(exchange):
        registry.expired |= set(tokens.given)
        registry.answer(exchange)

    registry.instead("GET", "/blobs/", expire, times=1)
    there = context_at(tmp_path / "slow", Network(concurrency=1))
    pull(there, f"{registry.host}/team/tiny:v1")
    assert len(tokens.seen) == 2


def test_tokens_that_never_work_end_the_pull(registry, tokens, there):
    serve_model(registry)
    registry.instead(
        "GET",
        "/manifests/",
        says(401, WWW_Authenticate=f'Bearer realm="{tokens.url}/token",service="x"'),
    )
    with pytest.raises(AuthenticationError):
        pull(there, f"{registry.host}/team/tiny:v1")
    assert len(tokens.seen) == 1


def test_a_wrong_password_is_refused_with_a_hint(registry, here, tmp_path, clean_environment):
    build_model(here, tmp_path, "tiny")
    logged_in(clean_environment, registry.host, "wr0ng-s3cret")
    with pytest.raises(AuthenticationError, match="refused a token") as caught:
        push(here, "tiny", f"{registry.host}/team/tiny:v1")
    assert caught.value.hint == f"modelpack login {registry.host}"
    assert "wr0ng" not in str(caught.value)
    assert registry.manifests == {}


def test_a_stale_login_does_not_break_a_public_pull(registry, there, clean_environment):
    serve_model(registry)
    logged_in(clean_environment, registry.host, "changed-since")
    pull(there, f"{registry.host}/team/tiny:v1")


def test_login_with_a_wrong_password_fails_where_everybody_may_pull(
    registry, here, clean_environment
):
    with pytest.raises(AuthenticationError):
        login(here, registry.host, "ann", "wrong")
    assert not (clean_environment / ".docker" / "config.json").exists()
    login(here, registry.host, "ann", "s3cret")
    assert (clean_environment / ".docker" / "config.json").exists()


def test_an_identity_token_is_exchanged_by_post(registry, tokens, there, clean_environment):
    serve_model(registry)
    tokens.anonymous = False
    tokens.identity_token = "long-lived"
    stored(clean_environment, registry.host, identitytoken="long-lived")
    pull(there, f"{registry.host}/team/tiny:v1")
    (asked,) = tokens.seen
    form = {key: value[0] for key, value in parse_qs(asked.body.decode()).items()}
    assert (asked.method, asked.authorization) == ("POST", "")
    assert form == {
        "grant_type": "refresh_token",
        "refresh_token": "long-lived",
        "client_id": "modelpack",
        "service": "fake.example",
        "scope": "repository:team/tiny:pull",
    }


def test_an_identity_token_follows_no_redirect(registry, tokens, there, clean_environment):
    serve_model(registry)
    tokens.anonymous = False
    stored(clean_environment, registry.host, identitytoken="long-lived")
    with FakeTokens() as elsewhere:
        tokens.instead("POST", "/token", says(307, Location=f"{elsewhere.url}/token"))
        with pytest.raises((AuthenticationError, RegistryError)):
            pull(there, f"{registry.host}/team/tiny:v1")
        assert elsewhere.seen == []


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (html(), "something else than JSON"),
        (says(200, b"[]"), "something else than JSON"),
        (says(200, b"{}"), "gave no token"),
        (says(200, b'{"token": 7}'), "gave no token"),
        (says(200, b'{"token": "a\\r\\nX: y"}'), "gave no token"),
        (says(200, '{"token": "t\u00f6k\u20acn"}'.encode()), "gave no token"),
        (says(200, b"[" * 100_000), "something else than JSON"),
        (says(500, b"oops"), r"failed at a token \(500\): oops"),
    ],
)
def test_nonsense_from_the_token_service_is_one_error(registry, tokens, there, answer, text):
    serve_model(registry)
    tokens.instead("GET", "/token", answer)
    with pytest.raises(RegistryError, match=text):
        pull(there, f"{registry.host}/team/tiny:v1")
    assert files_in(there) == []


def test_a_token_that_lives_for_ever_is_used(registry, tokens, there):
    serve_model(registry)
    registry.tokens = None
    tokens.instead(
        "GET", "/token", says(200, b'{"token": "t", "expires_in": 1' + b"0" * 400 + b"}")
    )
    registry.instead("GET", "/manifests/", challenges(tokens), times=1)
    pull(there, f"{registry.host}/team/tiny:v1")


def challenges(tokens, *others):
    said = f'Bearer realm="{tokens.url}/token",service="fake.example"'
    return says(401, WWW_Authenticate=", ".join((*others, said)))


def test_a_challenge_behind_another_one_is_answered(registry, tokens, there):
    serve_model(registry)
    registry.instead(
        "GET", "/manifests/", challenges(tokens, 'Negotiate, Digest realm="basic, x"'), times=1
    )
    pull(there, f"{registry.host}/team/tiny:v1")
    assert tokens.seen


@pytest.mark.parametrize("realm", ["http://[bad/", "http://h:99999/", "http://h:abc/"])
def test_a_token_service_that_is_nowhere_is_one_error(registry, there, realm):
    challenge = f'Bearer realm="{realm}",service="x"'
    registry.instead("GET", "/manifests/", says(401, WWW_Authenticate=challenge))
    with pytest.raises(RegistryError, match="which is no address"):
        pull(there, f"{registry.host}/team/tiny:v1")


@pytest.mark.parametrize("status", [400, 404])
def test_a_stale_identity_token_does_not_break_a_public_pull(
    registry, tokens, there, clean_environment, status
):
    serve_model(registry)
    stored(clean_environment, registry.host, identitytoken="stale")
    tokens.instead("POST", "/token", says(status, b'{"error": "invalid_grant"}'))
    pull(there, f"{registry.host}/team/tiny:v1")


@pytest.mark.parametrize("realm", ["", "file:///etc/passwd", "ftp://x/", "/token"])
def test_a_token_service_that_is_no_web_address_is_refused(registry, there, realm):
    challenge = f'Bearer realm="{realm}",service="x"'
    registry.instead("GET", "/manifests/", says(401, WWW_Authenticate=challenge))
    with pytest.raises(RegistryError, match="no usable token service"):
        pull(there, f"{registry.host}/team/tiny:v1")
