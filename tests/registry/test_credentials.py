"""Where user names and passwords are found and kept."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from pathlib import Path

import pytest
from fakes.logins import helper, pair

from modelpack import limits
from modelpack.errors import InputError
from modelpack.registry.credentials import Credential, Credentials
from modelpack.registry.helpers import ask_helper
from modelpack.registry.trust import Trust, decide

HOST = "registry.example:5000"


@pytest.fixture
def config(clean_environment):
    """docker's config.json, not written yet."""
    path = clean_environment / ".docker" / "config.json"
    path.parent.mkdir()
    return path


@pytest.fixture
def helpers(tmp_path, monkeypatch):
    """A folder on PATH."""
    folder = tmp_path / "bin"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def keep(path, **value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def found(host=HOST):
    return Credentials(os.environ).get(host)


def auths(host=HOST, user="ann", password="s3cret"):
    return {host: {"auth": pair(user, password)}}


def test_there_is_none_without_any_file():
    assert found() is None


@pytest.mark.parametrize(
    "key",
    [HOST, f"https://{HOST}", f"http://{HOST}", f"https://{HOST}/v1/", f"https://{HOST}/v2/"],
)
def test_a_login_is_found_under_all_its_names(config, key):
    keep(config, auths=auths(key))
    assert found() == Credential("ann", "s3cret")


@pytest.mark.parametrize("host", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_one_login_under_three_names(config, host):
    keep(config, auths=auths("https://index.docker.io/v1/"))
    assert found(host) == Credential("ann", "s3cret")


def test_another_host_or_port_has_no_part_in_it(config):
    keep(config, auths=auths())
    assert found("registry.example") is None
    assert found("other.example:5000") is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"auth": pair("ann", "with:colon")}, Credential("ann", "with:colon")),
        ({"username": "ann", "password": "p"}, Credential("ann", "p")),
        ({"identitytoken": "t"}, Credential("<token>", identity_token="t")),
        ({"auth": pair("ann", ""), "identitytoken": "t"}, Credential("ann", identity_token="t")),
        ({"auth": "not base64!"}, None),
        ({"auth": ""}, None),
        ({}, None),
        ([], None),
    ],
)
def test_every_form_of_entry_is_read(config, entry, expected):
    keep(config, auths={HOST: entry})
    assert found() == expected


def test_docker_config_moves_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "elsewhere"))
    keep(tmp_path / "elsewhere" / "config.json", auths=auths())
    assert found() == Credential("ann", "s3cret")


def test_registry_auth_file_comes_first(config, tmp_path, monkeypatch):
    keep(config, auths=auths(user="second"))
    keep(tmp_path / "auth.json", auths=auths(user="first"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    assert found().username == "first"
    keep(tmp_path / "auth.json", auths={})
    assert found().username == "second"


def test_podmans_file_comes_last(config, clean_environment):
    keep(clean_environment / "run" / "containers" / "auth.json", auths=auths(user="podman"))
    assert found().username == "podman"
    keep(config, auths=auths(user="docker"))
    assert found().username == "docker"


@pytest.mark.parametrize("text", ["{", "[]", '"x"', "[" * 100_000])
def test_a_file_that_is_no_object_is_named(config, text):
    config.write_text(text)
    with pytest.raises(InputError, match=r"config\.json is not") as caught:
        found()
    assert caught.value.hint == "repair or remove it"


def test_a_file_that_cannot_be_read_is_not_replaced(config):
    config.mkdir()
    with pytest.raises(InputError, match="cannot read"):
        Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert config.is_dir()


def test_saving_keeps_what_else_is_in_the_file(config):
    keep(config, auths=auths("other.example"), psFormat="table", HttpHeaders={"X": "y"})
    where = Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert where == str(config)
    value = json.loads(config.read_text())
    assert value["auths"] == {**auths("other.example"), **auths()}
    assert (value["psFormat"], value["HttpHeaders"]) == ("table", {"X": "y"})


def test_saving_writes_for_the_owner_only_and_whole(config):
    Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    assert list(config.parent.iterdir()) == [config]


def test_saving_narrows_the_mode_of_an_open_file(config):
    keep(config)
    config.chmod(0o644)
    Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert stat.S_IMODE(config.stat().st_mode) == 0o600


def test_saving_follows_a_link(config, tmp_path):
    target = tmp_path / "dotfiles" / "docker.json"
    keep(target, psFormat="table")
    config.symlink_to(target)
    Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert config.is_symlink()
    assert json.loads(target.read_text()) == {"psFormat": "table", "auths": auths()}


def test_a_folder_that_cannot_be_made_is_one_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "file"))
    with pytest.raises(InputError, match="cannot write"):
        Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))


def test_a_failed_write_leaves_the_old_file(config, monkeypatch):
    keep(config, auths=auths("other.example"))
    before = config.read_bytes()

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert config.read_bytes() == before
    assert list(config.parent.iterdir()) == [config]


def test_erasing_keeps_the_others(config):
    keep(config, auths={**auths(), **auths("other.example")})
    assert Credentials(os.environ).erase(HOST)
    assert json.loads(config.read_text()) == {"auths": auths("other.example")}
    assert not Credentials(os.environ).erase(HOST)


def test_a_file_that_is_named_is_the_one_that_is_written(config, tmp_path, monkeypatch):
    named = tmp_path / "auth.json"
    keep(named, auths=auths(password="old"))
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(named))
    credentials = Credentials(os.environ)
    assert credentials.save(HOST, Credential("ann", "new")) == str(named)
    assert found() == Credential("ann", "new")
    assert not config.exists()
    assert credentials.erase(HOST)
    assert found() is None


def test_a_user_without_a_home_has_no_logins(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(Path, "home", _homeless)
    assert Credentials({}).get(HOST) is None
    assert decide(HOST, {}) == Trust()
    with pytest.raises(InputError, match="cannot write"):
        Credentials({}).save(HOST, Credential("ann", "s3cret"))


def _homeless():
    raise RuntimeError("Could not determine home directory.")


def test_an_entry_may_be_for_part_of_a_registry(tmp_path, monkeypatch):
    entries = {
        **auths(f"{HOST}/team", password="team"),
        **auths(f"{HOST}/team/tiny", password="tiny"),
        **auths(password="all"),
    }
    keep(tmp_path / "auth.json", auths=entries)
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(tmp_path / "auth.json"))
    credentials = Credentials(os.environ)
    for repository, password in (
        ("team/tiny", "tiny"),
        ("team/other", "team"),
        ("teams/tiny", "all"),
        ("", "all"),
    ):
        assert credentials.get(HOST, repository) == Credential("ann", password)


KEEPER = """
file="$(dirname "$0")/kept-$(basename "$0")"
case "$1" in
store) cat > "$file" ;;
get) read -r key; grep -q "$key" "$file" 2>/dev/null || exit 1; cat "$file" ;;
erase) rm -f "$file" ;;
esac
"""


@pytest.mark.parametrize("setting", ["credsStore", "credHelpers"])
def test_a_helper_keeps_gives_and_forgets(config, helpers, setting):
    helper(helpers, "keeper", KEEPER)
    keep(config, **{setting: "keeper" if setting == "credsStore" else {HOST: "keeper"}})
    before = config.read_bytes()
    credentials = Credentials(os.environ)
    assert credentials.get(HOST) is None
    assert "keeper" in credentials.save(HOST, Credential("ann", "s3cret"))
    assert config.read_bytes() == before
    assert credentials.get(HOST) == Credential("ann", "s3cret")
    assert credentials.erase(HOST)
    assert credentials.get(HOST) is None
    assert not credentials.erase(HOST)


def test_a_helper_for_one_host_comes_before_the_one_for_all(config, helpers):
    answer = '{"ServerURL": "x", "Username": "%s", "Secret": "p"}'
    for name in ("one", "all"):
        helper(helpers, name, f"echo '{answer % name}'")
    keep(config, credHelpers={HOST: "one"}, credsStore="all")
    assert found().username == "one"
    assert found("other.example").username == "all"


def test_a_helper_gives_identity_tokens(config, helpers):
    helper(helpers, "cloud", """echo '{"Username": "<token>", "Secret": "long"}'""")
    keep(config, credsStore="cloud")
    assert found() == Credential("<token>", identity_token="long")


def test_a_helper_that_knows_nothing_leaves_it_to_auths(config, helpers):
    helper(helpers, "empty", "echo 'credentials not found in native keychain'; exit 1")
    keep(config, credsStore="empty", auths=auths())
    assert found() == Credential("ann", "s3cret")


def test_a_helper_is_asked_for_docker_hubs_own_name(config, helpers, tmp_path):
    helper(helpers, "hub", f"cat >> {tmp_path}/asked; echo >> {tmp_path}/asked; exit 1")
    keep(config, credsStore="hub")
    assert found("docker.io") is None
    assert (tmp_path / "asked").read_text().splitlines()[0] == "https://index.docker.io/v1/"


def test_a_helper_that_hangs_is_given_up(config, helpers, monkeypatch):
    monkeypatch.setattr(limits, "HELPER_TIMEOUT_S", 0.2)
    helper(helpers, "slow", "exec sleep 60")
    keep(config, credsStore="slow")
    with pytest.raises(InputError, match="docker-credential-slow did not answer"):
        found()


def test_a_helper_that_is_missing_is_named(config):
    keep(config, credsStore="nowhere")
    with pytest.raises(InputError, match="docker-credential-nowhere is not installed") as caught:
        found()
    assert "credsStore" in caught.value.hint


@pytest.mark.parametrize("answer", ["hello s3cret", "[]", "{}", '{"Username": "ann"}', ""])
def test_a_helper_that_answers_nonsense_is_one_error_without_it(config, helpers, answer):
    helper(helpers, "odd", f"echo '{answer}'")
    keep(config, credsStore="odd")
    with pytest.raises(InputError, match="'odd' answered something else") as caught:
        found()
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["../../bin/sh", "a b", "-x", "a/b"])
def test_a_helper_is_a_name_and_not_a_path(name):
    with pytest.raises(InputError, match="not the name of a credential helper"):
        ask_helper(name, [HOST], os.environ)


def test_a_helper_that_keeps_nothing_is_an_error(config, helpers):
    helper(helpers, "broken", "exit 1")
    keep(config, credsStore="broken")
    with pytest.raises(InputError, match="did not keep"):
        Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))


def test_a_credential_does_not_show_its_secrets():
    assert "s3cret" not in repr(Credential("ann", "s3cret", "s3cret"))


def test_no_secret_is_given_on_a_command_line(config, helpers, monkeypatch):
    helper(helpers, "keeper", KEEPER)
    keep(config, credsStore="keeper")
    started = []
    real = subprocess.run

    def watch(command, **options):
        started.append(command)
        return real(command, **options)

    monkeypatch.setattr(subprocess, "run", watch)
    Credentials(os.environ).save(HOST, Credential("ann", "s3cret"))
    assert started == [["docker-credential-keeper", "store"]]
