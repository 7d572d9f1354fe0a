"""`modelpack registry serve`."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys

import pytest

pytest.importorskip("uvicorn", reason="the registry extra is not installed")


def test_it_serves_until_it_is_told_to_end(cli, built, tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "modelpack", "registry", "serve",
         "--root", str(tmp_path / "served"), "--listen", "127.0.0.1:0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        try:
            line = process.stderr.readline()
            host = re.fullmatch(rf"registry of {tmp_path}/served is at http://(\S+)\n", line)[1]
            assert cli("push", "tiny", f"{host}/team/tiny:v1").code == 0
            cli("rm", "tiny")
            assert cli("pull", "-q", f"{host}/team/tiny:v1").out.strip() == built
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out) == (0, "")
    assert "Traceback" not in err


def test_a_taken_port_is_named(cli, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = cli("registry", "serve", "--root", tmp_path / "r", "--listen", address)
    assert f"cannot listen on {address}" in done.error(2)
    assert "--listen" in done.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--listen", "nonsense"), "not an address to listen on: 'nonsense'"),
        (("--listen", "127.0.0.1:99999"), "not an address"),
        (("--htpasswd", "/nowhere"), "no such file: /nowhere"),
        (("--tls-cert", "/nowhere"), "needs its key"),
    ],
)
def test_settings_that_mean_nothing_are_refused(cli, tmp_path, words, text):
    assert text in cli("registry", "serve", "--root", tmp_path / "r", *words).error(2)


def test_a_folder_that_cannot_be_made_is_named(cli, tmp_path):
    (tmp_path / "file").write_text("")
    done = cli("registry", "serve", "--root", tmp_path / "file" / "r", "--listen", "127.0.0.1:0")
    assert str(tmp_path / "file") in done.error(8)
