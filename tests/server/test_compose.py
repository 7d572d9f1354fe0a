"""`registry-compose.yml`: what it mounts is there, and a real registry starts from it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import requests
import yaml

HERE = Path(__file__).resolve().parents[2]
COMPOSE = HERE / "registry-compose.yml"
README = HERE / "deploy" / "registry" / "README.md"


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load(COMPOSE.read_text())


def config_of(compose, service):
    """Return the file that *service* mounts as its configuration."""
    target = compose["services"][service]["command"][-1]
    for mount in compose["services"][service]["volumes"]:
        source, inside, *_ = mount.split(":")
        if inside == target:
            return HERE / source
    raise AssertionError(f"{service} mounts no {target}")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def distribution(config, folder, **overrides):
    """Run Debian's docker-registry on *config*, moved to a free port and a folder of the test."""
    program = shutil.which("docker-registry")
    if program is None:
        pytest.skip("docker-registry is not installed: apt-get install docker-registry")
    address = f"127.0.0.1:{free_port()}"
    environment = {
        **os.environ,
        "REGISTRY_HTTP_ADDR": address,
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY": str(folder / "data"),
        **overrides,
    }
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "serve", str(config)], env=environment, stdout=out, stderr=out
        )
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(address.split(":"), 1):
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(20)


def get(url, **options):
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=30, **options)


def test_the_plain_registry_is_on_5000_and_the_secure_one_on_request(compose):
    services = compose["services"]
    assert set(services) == {"registry", "registry-secure"}
    assert services["registry"]["ports"] == ["127.0.0.1:5000:5000"]
    assert "profiles" not in services["registry"]
    assert services["registry-secure"]["ports"] == ["127.0.0.1:5443:5443"]
    assert services["registry-secure"]["profiles"] == ["secure"]


def test_every_image_is_pinned_to_a_version(compose):
    for service in compose["services"].values():
        assert re.fullmatch(r"docker\.io/library/registry:3\.\d+\.\d+", service["image"])


def test_every_mount_is_a_file_of_ours_or_a_volume(compose):
    for service in compose["services"].values():
        for mount in service["volumes"]:
            source = mount.split(":")[0]
            if source.startswith("./"):
                assert (HERE / source).exists()
                assert mount.endswith(":ro")
            else:
                assert source in compose["volumes"]


@pytest.mark.parametrize("service", ["registry", "registry-secure"])
def test_the_configuration_listens_on_the_port_that_is_published(compose, service):
    config = yaml.safe_load(config_of(compose, service).read_text())
    (port,) = compose["services"][service]["ports"]
    assert config["http"]["addr"] == f":{port.rsplit(':', 1)[1]}"
    volume = config["storage"]["filesystem"]["rootdirectory"]
    assert any(m.split(":")[1] == volume for m in compose["services"][service]["volumes"])


def test_the_readme_says_how_to_make_every_secret_file(compose):
    config = yaml.safe_load(config_of(compose, "registry-secure").read_text())
    text = README.read_text()
    for path in (config["http"]["tls"]["certificate"], config["http"]["tls"]["key"],
                 config["auth"]["htpasswd"]["path"]):  # fmt: skip
        assert f"deploy/registry{path}" in text


@pytest.mark.registry
def test_distribution_starts_from_the_plain_configuration(compose, tmp_path):
    with distribution(config_of(compose, "registry"), tmp_path) as address:
        assert get(f"http://{address}/v2/").status_code == 200


@pytest.mark.registry
def test_distribution_starts_from_the_secure_configuration(compose, tmp_path):
    commands = re.findall(r"^    ((?:openssl|htpasswd) (?:.*\\\n)*.*)$", README.read_text(), re.M)
    if not all(shutil.which(command.split()[0]) for command in commands):
        pytest.skip("openssl or htpasswd is not installed")
    for folder in ("certs", "auth"):
        (tmp_path / "deploy" / "registry" / folder).mkdir(parents=True)
    for command in commands:
        subprocess.run(command, shell=True, check=True, cwd=tmp_path, capture_output=True)
    made = tmp_path / "deploy" / "registry"
    with distribution(
        config_of(compose, "registry-secure"),
        tmp_path,
        REGISTRY_HTTP_TLS_CERTIFICATE=str(made / "certs" / "tls.crt"),
        REGISTRY_HTTP_TLS_KEY=str(made / "certs" / "tls.key"),
        REGISTRY_AUTH_HTPASSWD_PATH=str(made / "auth" / "htpasswd"),
    ) as address:
        trust = str(made / "certs" / "tls.crt")
        refused = get(f"https://{address}/v2/", verify=trust)
        assert refused.status_code == 401
        assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        good = get(f"https://{address}/v2/", verify=trust, auth=("USER", "PASSWORD"))
        assert good.status_code == 200
        bad = get(f"https://{address}/v2/", verify=trust, auth=("USER", "WRONG"))
        assert bad.status_code == 401
