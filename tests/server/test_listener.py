"""Starting and ending the registry, and what it does with clients that misbehave."""

from __future__ import annotations

import signal
import socket
import statistics
import subprocess
import sys
import time

import pytest
import requests

from modelpack.errors import InputError, StoreError
from modelpack.server import hosting
from modelpack.server.registry import RegistrySettings, running, serve

PROGRAM = """
import sys
from pathlib import Path
from modelpack.server.registry import RegistrySettings, serve
serve(
    RegistrySettings(root=Path(sys.argv[1]), listen="127.0.0.1:0"),
    ready=lambda url: print(url, flush=True),
)
print("ended")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_reports_its_url_and_ends_cleanly_on_a_signal(root, number):
    command = [sys.executable, "-c", PROGRAM, str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            url = process.stdout.readline().strip()
            assert requests.get(f"{url}/v2/", timeout=30).status_code == 200
            process.send_signal(number)
            assert process.communicate(timeout=30)[0] == "ended\n"
            assert process.returncode == 0
        finally:
            process.kill()


def test_an_address_that_is_taken_is_one_clear_error(root):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(InputError, match=f"cannot listen on {listen}"):
            serve(RegistrySettings(root=root, listen=listen))


@pytest.mark.parametrize("listen", ["5000", "", "host:", "host:x", "h:70000", ":5000", "h:-1"])
def test_a_text_that_is_no_address_is_refused(root, listen):
    with pytest.raises(InputError, match="not an address"):
        serve(RegistrySettings(root=root, listen=listen))


def test_ipv6_is_spoken(root):
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    with running(RegistrySettings(root=root, listen="[::1]:0")) as base:
        assert base.startswith("http://[::1]:")
        assert requests.get(f"{base}/v2/", timeout=30).status_code == 200


def test_a_root_that_is_no_folder_is_one_clear_error(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    settings = RegistrySettings(root=path / "registry", listen="127.0.0.1:0")
    with pytest.raises(StoreError, match="cannot write the registry's folder"), running(settings):
        pass


def test_two_registries_do_not_share_a_root(root):
    settings = RegistrySettings(root=root, listen="127.0.0.1:0")
    refused = pytest.raises(StoreError, match="another registry serves")
    with running(settings), refused, running(settings):
        pass
    with running(settings):
        pass


@pytest.mark.parametrize("module", ["uvicorn", "starlette.routing", "bcrypt", "httptools"])
def test_a_missing_extra_is_named(root, module):
    code = f"import sys; sys.modules[{module!r}] = None\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], capture_output=True, text=True, check=False
    )
    assert "MissingExtraError: the embedded registry needs the 'registry' extra" in done.stderr


def test_importing_the_registry_does_not_import_its_dependencies():
    code = "import sys, modelpack.server.registry; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert {"starlette", "uvicorn", "bcrypt", "httptools"}.isdisjoint(loaded)


def test_a_small_answer_goes_out_at_once(client):
    def seconds():
        begun = time.perf_counter()
        assert client.ask("GET", "/v2/").content == b"{}"
        return time.perf_counter() - begun

    assert statistics.median(seconds() for _ in range(11)) < 0.03


def test_head_and_body_of_an_answer_come_in_one_piece(client):
    digest = client.push(b"content")
    with socket.create_connection(client.address, timeout=30) as sock:
        for path in ("/v2/", f"/v2/demo/a/blobs/{digest}", "/v2/demo/a/tags/list"):
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            head, _, body = sock.recv(65536).partition(b"\r\n\r\n")
            assert f"content-length: {len(body)}".encode() in head.lower()
            assert body


@pytest.mark.parametrize(
    "head",
    ["GET /v2/" + "a" * 800_000, "GET /v2/ HTTP/1.1\r\nHost: x\r\nX: " + "a" * 800_000,
     "GET /v2/ HTTP/1.1\r\n" + "X: y\r\n" * 130_000],
)  # fmt: skip
def test_a_head_without_end_is_cut_off(client, head):
    try:
        received = client.send_raw(head)
    except ConnectionError:
        return  # cut off before all of it was sent
    assert received.startswith(b"HTTP/1.1 400")


def test_a_head_that_never_comes_is_not_waited_for(root, monkeypatch):
    monkeypatch.setattr(hosting, "HEAD_TIMEOUT_S", 0.2)
    with running(RegistrySettings(root=root, listen="127.0.0.1:0")) as base:
        host, port = base.removeprefix("http://").split(":")
        for head in (b"", b"GET /v2/ HT"):
            with socket.create_connection((host, int(port)), timeout=10) as sock:
                sock.sendall(head)
                assert sock.recv(100) == b""


def test_a_body_that_stops_coming_is_not_waited_for(client, monkeypatch):
    monkeypatch.setattr("modelpack.server.registry.answers.BODY_TIMEOUT_S", 0.2)
    location = client.begin()
    received = client.send_raw(
        f"PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
    )
    assert received.startswith(b"HTTP/1.1 408")
    assert client.ask("GET", location).headers["Range"] == "0-2"


def test_a_reader_that_leaves_does_not_disturb_the_others(client):
    data = bytes(20_000_000)
    digest = client.push(data)
    with socket.create_connection(client.address) as sock:
        sock.sendall(f"GET /v2/demo/a/blobs/{digest} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        sock.recv(1000)
    assert len(client.ask("GET", f"/v2/demo/a/blobs/{digest}").content) == len(data)
