"""`push`, `pull`, `login` and `logout`."""

from __future__ import annotations

import json
import stat

import pytest
from fakes.logins import pair
from fakes.models import serve_model
from fakes.registry import FakeRegistry
from fakes.web import html


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


def test_push_and_pull_print_the_name_and_the_digest(cli, registry, built):
    name = f"{registry.host}/team/tiny:v1"
    assert cli("push", "tiny", name).out == f"{name}  {built}\n"
    cli("rm", "tiny")
    assert cli("pull", name).out == f"{name}  {built}\n"
    assert [m["digest"] for m in cli("list", "--json").json] == [built]


def test_quiet_prints_only_the_digest(cli, registry, built):
    name = f"{registry.host}/team/tiny"
    for words in (("push", "-q", "tiny", name), ("pull", "-q", name)):
        done = cli(*words)
        assert (done.out, done.err) == (f"{built}\n", "")


def test_json_is_one_document_with_progress_lines_beside_it(cli, registry, built):
    name = f"{registry.host}/team/tiny:latest"
    pushed = cli("push", "--json", "tiny", name)
    assert pushed.json.keys() == {"name", "digest", "size"}
    assert (pushed.json["name"], pushed.json["digest"]) == (name, built)
    events = [json.loads(line) for line in pushed.err.splitlines()]
    assert {event["action"] for event in events} == {"status", "push"}
    ended = [event for event in events if event["done"]]
    assert len([event for event in ended if event["item"] != "total"]) == 4
    assert ended[-1]["item"] == events[1]["item"] == "total"
    assert events[1]["total"] == sum(event["total"] for event in ended[:-1])
    assert all(event["completed"] == event["total"] for event in ended)


def test_piped_progress_is_a_line_for_each_layer(cli, registry, built):
    name = f"{registry.host}/team/tiny:v1"
    first = cli("push", "tiny", name).err.splitlines()
    assert first[0] == f"pushing {name}"
    assert len(first) == 5
    assert all(line.startswith("pushing ") for line in first)
    second = cli("push", "tiny", name).err.splitlines()
    assert all(line.endswith(" (exists)") for line in second[1:])


def test_errors_come_after_progress_lines(cli, registry):
    with_progress = cli("pull", "--json", f"{registry.host}/team/missing")
    first, *_ = with_progress.err.splitlines()
    assert json.loads(first)["action"] == "status"
    with_progress.error(3)


def test_push_wants_a_registry_and_a_model(cli, registry, built):
    assert "'tiny' names no registry" in cli("push", "tiny").error(2)
    assert "'tinny' is not in" in cli("push", "tinny", f"{registry.host}/x").error(3)
    assert registry.seen == []


def test_push_to_a_digest_is_not_a_push_to_a_tag(cli, registry, built):
    done = cli("push", "tiny", f"{registry.host}/team/tiny@{built}")
    assert done.code == 0
    assert ("team/tiny", built) in registry.manifests
    assert ("team/tiny", "latest") not in registry.manifests


def test_one_at_a_time_is_enough(cli, registry):
    serve_model(registry)
    assert cli("pull", "--concurrency", "1", f"{registry.host}/team/tiny:v1").code == 0


@pytest.fixture
def guarded(registry):
    registry.users = {"ann": "s3cret"}
    return registry


def login(cli, registry, *words, stdin=b"s3cret\n"):
    return cli("login", "-u", "ann", *words, registry.host, stdin=stdin)


def test_login_keeps_the_password_for_pulls(cli, guarded, clean_environment):
    serve_model(guarded)
    assert cli("pull", f"{guarded.host}/team/tiny:v1").code == 5
    done = login(cli, guarded, "--password-stdin")
    assert (done.code, done.out) == (0, "Login Succeeded\n")
    assert "s3cret" not in done.err
    config = clean_environment / ".docker" / "config.json"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert json.loads(config.read_text()) == {
        "auths": {guarded.host: {"auth": pair("ann", "s3cret")}}
    }
    assert cli("pull", f"{guarded.host}/team/tiny:v1").code == 0


def test_login_keeps_what_else_is_in_the_file(cli, guarded, clean_environment):
    config = clean_environment / ".docker" / "config.json"
    config.parent.mkdir()
    config.write_text('{"auths": {"other.example": {"auth": "eDp5"}}, "psFormat": "t"}')
    login(cli, guarded, "--password-stdin")
    value = json.loads(config.read_text())
    assert value["psFormat"] == "t"
    assert set(value["auths"]) == {"other.example", guarded.host}


def test_login_warns_of_a_password_on_the_command_line(cli, guarded):
    done = login(cli, guarded, "--password", "s3cret")
    assert done.out == "Login Succeeded\n"
    assert "Warning: --password is visible" in done.err


def test_login_accepts_the_address_of_a_web_page(cli, guarded):
    host = guarded.host
    guarded.host = f"http://{host}/"
    assert login(cli, guarded, "--password-stdin").code == 0
    assert cli("logout", host).out == f"Removed the login for {host}\n"


def test_logout_forgets(cli, guarded, clean_environment):
    login(cli, guarded, "--password-stdin")
    assert cli("logout", guarded.host).out == f"Removed the login for {guarded.host}\n"
    assert json.loads((clean_environment / ".docker" / "config.json").read_text()) == {"auths": {}}
    assert cli("logout", guarded.host).out == f"Not logged in to {guarded.host}\n"


def test_logout_names_the_files_that_still_have_a_login(
    cli, guarded, clean_environment, monkeypatch
):
    login(cli, guarded, "--password-stdin")
    named = clean_environment / "auth.json"
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    done = cli("logout", guarded.host)
    assert done.out == f"Not logged in to {guarded.host}\n"
    assert f"{clean_environment / '.docker' / 'config.json'} has a login" in done.err


def test_login_to_something_else_than_a_registry_fails(cli, guarded, clean_environment):
    guarded.instead("GET", "/v2/", html())
    assert "HTML page" in login(cli, guarded, "--password-stdin").error(5)
    assert not (clean_environment / ".docker").exists()


@pytest.mark.parametrize(
    ("words", "stdin", "text"),
    [
        (("--password-stdin", "h.example"), b"x", "--password-stdin needs --username"),
        (("-u", "ann", "--password-stdin", "h.example"), b"", "no user name or no password"),
        (("-u", "ann", "h.example"), b"", "no user name or no password"),
        (("-u", "ann", "--password-stdin", "a/b/c"), b"x", "not a registry host"),
        (("-u", "ann", "--password-stdin", "Tiny"), b"x", "not a registry host"),
        (("-u", "ann", "--password-stdin", "h.example"), b"\xff\xfe", "not UTF-8"),
    ],
)
def test_a_login_without_what_it_needs_is_refused(cli, words, stdin, text):
    assert text in cli("login", *words, stdin=stdin).error(2)
