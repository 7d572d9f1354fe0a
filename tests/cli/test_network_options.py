"""Options that say how registries are reached."""

from __future__ import annotations

import pytest
from fakes.models import serve_model
from fakes.registry import FakeRegistry

from modelpack.cli._network import networked, parse_rate
from modelpack.errors import InputError
from modelpack.limits import KiB, MiB

HOST = "registry.example"
EVERY = (
    ("push", "tiny", f"{HOST}/tiny"),
    ("pull", f"{HOST}/tiny"),
    ("copy", f"{HOST}/tiny", f"{HOST}/other"),
    ("run", f"{HOST}/tiny"),
    ("fsck",),
    ("login", "-u", "ann", "--password", "x", HOST),
)


@pytest.mark.parametrize("words", EVERY, ids=lambda words: words[0])
@pytest.mark.parametrize("option", ["--ca-file", "--cert-file", "--key-file"])
def test_a_file_that_is_not_there_is_named(cli, words, option):
    done = cli(*words, option, "/nowhere/x.pem")
    assert "Error: no such file: /nowhere/x.pem" in done.err
    assert f"hint: {option} names a PEM file" in done.err
    assert done.code == 2


def test_a_key_needs_a_certificate(cli, tmp_path):
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN PRIVATE KEY-----\n")
    assert "--key-file needs --cert-file" in cli("pull", f"{HOST}/x", "--key-file", key).error(2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("16KiB", 16 * KiB), ("50MiB", 50 * MiB), ("50MiB/s", 50 * MiB), (" 1 MB/s ", 10**6)],
)
def test_a_rate_is_a_size_a_second(text, expected):
    assert parse_rate(text) == expected
    context = networked(insecure=False, ca_file="", limit_rate=text)
    assert context.network.limit_rate == expected


def test_without_a_rate_there_is_no_limit():
    assert networked(insecure=False, ca_file="").network.limit_rate == 0


@pytest.mark.parametrize("text", ["16383", "1B/s", "0", "fast", "1MiB/m", "/s"])
def test_a_rate_that_is_none_or_too_small_is_refused(text):
    with pytest.raises(InputError):
        parse_rate(text)


@pytest.mark.parametrize("words", EVERY[:3], ids=lambda words: words[0])
def test_what_moves_bytes_takes_a_rate(cli, words):
    assert "less than 16KiB a second" in cli(*words, "--limit-rate", "1KiB").error(2)


def test_a_pull_with_a_rate_brings_the_model(cli):
    with FakeRegistry() as registry:
        serve_model(registry)
        assert cli("pull", "--limit-rate", "1GiB/s", f"{registry.host}/team/tiny:v1").code == 0


def test_a_mistake_in_the_configuration_file_is_one_line(cli, clean_environment):
    (clean_environment / ".modelpack").mkdir()
    (clean_environment / ".modelpack" / "config.yaml").write_text("registries: {x.example: {a: 1}}")
    done = cli("login", "-u", "ann", "--password-stdin", HOST, stdin=b"x")
    assert done.error(2).endswith("config.yaml at registries: x.example: unknown key 'a'")
    assert cli("list").code == 0
