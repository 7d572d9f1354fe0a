"""What is different on a terminal: bars, and a password that is typed."""

from __future__ import annotations

import json
import re

import pytest
from fakes.logins import pair
from fakes.models import serve_model
from fakes.registry import FakeRegistry, basic
from fakes.terminal import Terminal


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


def test_a_pull_draws_a_bar_for_each_layer(registry):
    layers = serve_model(registry)["layers"]
    name = f"{registry.host}/team/tiny:v1"
    with Terminal("pull", name) as terminal:
        shown = terminal.wait_for("  sha256:")
        assert terminal.end() == 0
    assert f"pulling {name}" in shown
    assert re.search(rf"pulling {layers[0]['digest'][7:19]}.*160", shown)
    assert re.search(r"total .*160", shown)


def test_a_password_is_asked_for_and_not_shown(registry, clean_environment):
    registry.users = {"ann": "s3cret"}
    with Terminal("login", registry.host) as terminal:
        shown = terminal.wait_for("Username: ")
        terminal.type("ann\n")
        shown += terminal.wait_for("Password: ")
        terminal.type("s3cret\n")
        shown += terminal.wait_for("Login Succeeded")
        assert terminal.end() == 0
    assert "s3cret" not in shown
    assert registry.seen[-1].authorization == basic("ann", "s3cret")
    config = json.loads((clean_environment / ".docker" / "config.json").read_text())
    assert config["auths"][registry.host]["auth"] == pair("ann", "s3cret")


def test_ctrl_c_at_a_question_ends_the_command(registry):
    with Terminal("login", registry.host) as terminal:
        terminal.wait_for("Username: ")
        terminal.interrupt("Aborted")
        assert terminal.end() != 0
        terminal.read_rest()
    assert "Traceback" not in terminal.screen
    assert registry.seen == []
