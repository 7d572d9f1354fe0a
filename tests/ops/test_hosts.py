"""The configuration file: what it says about registries, and what is said about its mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelpack.config import Settings
from modelpack.errors import InputError
from modelpack.hosts import HostSettings
from modelpack.limits import MiB
from modelpack.ops.context import Context, Network

FULL = """
registries:
  registry.example.com:5000:
    chunk-size: 100MiB
    put-limit: 20GB
    insecure: true
    ca-file: team.pem
    cert-file: /etc/ssl/me.pem
    key-file: ~/me.key
  ghcr.io:
    chunk-size: none
  "*.example.com":
    put-limit: 1048576
  "*.eu.example.com":
    insecure: false
"""


@pytest.fixture
def config(clean_environment: Path) -> Path:
    """The configuration file, where it usually is."""
    folder = clean_environment / ".modelpack"
    folder.mkdir()
    (folder / "config.yaml").write_text(FULL)
    return folder / "config.yaml"


def said(host: str) -> HostSettings:
    return Settings.from_environment().registry_host(host)


def test_everything_that_can_be_said_about_a_registry(config, clean_environment):
    assert said("registry.example.com:5000") == HostSettings(
        chunk_size=100 * MiB,
        put_limit=20 * 10**9,
        insecure=True,
        ca_file=str(config.parent / "team.pem"),
        cert_file="/etc/ssl/me.pem",
        key_file=str(clean_environment / "me.key"),
    )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("ghcr.io", HostSettings(chunk_size=0)),
        ("GHCR.io", HostSettings(chunk_size=0)),
        ("ghcr.io:443", HostSettings()),
        ("a.example.com", HostSettings(put_limit=MiB)),
        ("a.b.example.com:5000", HostSettings(put_limit=MiB)),
        ("a.eu.example.com", HostSettings(insecure=False)),
        ("example.com", HostSettings()),
        ("badexample.com", HostSettings()),
    ],
)
def test_a_name_comes_before_the_longest_pattern(config, host, expected):
    assert said(host) == expected


def test_the_file_in_the_documentation_says_what_it_says_there(config):
    text = (Path(__file__).parents[2] / "docs" / "registries.md").read_text()
    config.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    assert said("registry.example.com:5000") == HostSettings(
        chunk_size=100 * MiB,
        put_limit=20 * 10**9,
        ca_file=str(config.parent / "team.pem"),
        cert_file=str(config.parent / "me.pem"),
        key_file=str(config.parent / "me.key"),
    )
    assert said("a.internal.example.com:5000") == HostSettings(insecure=True)


def test_without_a_file_nothing_is_said():
    assert said("ghcr.io") == HostSettings()


@pytest.mark.parametrize("text", ["", "registries:\n", "# nothing\n", "registries: {ghcr.io: }\n"])
def test_a_file_may_say_nothing(config, text):
    config.write_text(text)
    assert said("ghcr.io") == HostSettings()


def test_a_variable_names_another_file(config, tmp_path, monkeypatch):
    other = tmp_path / "other.yaml"
    monkeypatch.setenv("MODELPACK_CONFIG", str(other))
    with pytest.raises(InputError, match=f"cannot read {other}: No such file"):
        said("ghcr.io")
    other.write_text("registries: {ghcr.io: {put-limit: 1MiB}}")
    assert said("ghcr.io") == HostSettings(put_limit=MiB)


def test_what_is_local_needs_no_readable_file(config):
    config.write_text("registries: [")
    assert list(Context.create().store.list(print)) == []


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("registry: {}", ": unknown key 'registry'", "registries"),
        ("- 1", ": key: value is expected", ""),
        ("registries: [ghcr.io]", " at registries: key: value is expected", ""),
        ("registries: {ghcr.io: 1}", " at registries: ghcr.io: key: value is expected", ""),
        ("registries: {5000: {}}", " at registries: '5000' is not a name", "quotes"),
        ("registries: {ghcr: {}}", " at registries: 'ghcr' is not a registry host", "host[:port]"),
        (
            "registries: {ghcr.io/team: {}}",
            " at registries: 'ghcr.io/team' is not a registry host",
            "",
        ),
        (
            "registries: {ghcr.io: {chunksize: 1}}",
            " at registries: ghcr.io: unknown key 'chunksize'",
            "chunk-size",
        ),
        (
            "registries: {ghcr.io: {chunk-size: many}}",
            " at registries: ghcr.io: chunk-size: not a size: 'many'",
            "MiB",
        ),
        (
            "registries: {ghcr.io: {put-limit: none}}",
            " at registries: ghcr.io: put-limit: not a size: 'none'",
            "",
        ),
        (
            "registries: {ghcr.io: {put-limit: true}}",
            " at registries: ghcr.io: put-limit: a size is expected",
            "100MiB",
        ),
        (
            "registries: {ghcr.io: {insecure: maybe}}",
            " at registries: ghcr.io: insecure: true or false is expected",
            "",
        ),
        (
            "registries: {ghcr.io: {ca-file: [1]}}",
            " at registries: ghcr.io: ca-file: a path is expected",
            "",
        ),
        (
            "registries: {ghcr.io: {ca-file: ~nobody-here/x}}",
            " at registries: ghcr.io: ca-file: there is no home folder for ~nobody-here/x",
            "",
        ),
        (
            "registries: {ghcr.io: {key-file: a.pem}}",
            " at registries: ghcr.io: key-file: there is no cert-file for it",
            "",
        ),
        ("registries:\n  *.example.com: {}\n", ": line 2: ", "quotes"),
        ("registries:\n  a: &x {}\n  b: *x\n", ": line 3: aliases are not allowed", ""),
        (
            "registries:\n  a.b: {}\n  c.d: {}\n  a.b: {}",
            ": line 4: 'a.b' is there twice",
            "line 2",
        ),
        ("registries: {}\nregistries: {}", ": line 2: 'registries' is there twice", "line 1"),
        (
            "registries:\n  ghcr.io:\n    insecure: true\n    'insecure': false\n",
            ": line 4: 'insecure' is there twice",
            "line 3",
        ),
        (
            "registries: {ghcr.io: {}, GHCR.io: {}}",
            " at registries: 'ghcr.io' is there twice",
            "capitals",
        ),
        ("registries: {\n", ": line 2: ", ""),
        ("a: 2001-02-30", " is not YAML", ""),
        ("registries: " + "[" * 100_000, " is not YAML", ""),
        ("a: \x00", " is not YAML", ""),
        ("#" * (MiB + 1), " is larger than 1048576 bytes", ""),
    ],
)
def test_a_mistake_is_named_with_its_place(config, text, message, hint):
    config.write_text(text)
    with pytest.raises(InputError) as caught:
        said("ghcr.io")
    assert str(caught.value).startswith(f"{config}{message}")
    assert "\n" not in str(caught.value)
    assert hint in (caught.value.hint or "")


def test_flags_come_before_the_file(config):
    network = Network(ca_file="mine.pem", cert_file="both.pem")
    connection = Context.create(network=network).connection("registry.example.com:5000")
    assert connection.insecure
    assert str(connection.ca_file) == "mine.pem (--ca-file)"
    assert str(connection.identity.certificate) == "both.pem (--cert-file)"
    assert str(connection.identity.key) == "both.pem (--cert-file)"


def test_the_file_counts_where_no_flag_is_given(config):
    connection = Context.create().connection("registry.example.com:5000")
    assert str(connection.ca_file) == f"{config.parent / 'team.pem'} (ca-file in {config})"
    assert str(connection.identity.certificate) == f"/etc/ssl/me.pem (cert-file in {config})"
    assert connection.identity.key.path.name == "me.key"
    other = Context.create().connection("ghcr.io")
    assert (other.ca_file, other.identity, other.insecure) == (None, None, False)
