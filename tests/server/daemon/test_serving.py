"""What is loaded, for whom and how long; who waits, who is refused, and what a crash costs."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.server_soak import workers_of
from support.serving import ANSWER, GREEDY, MODEL, QUESTION, Served, serving, tiny_store, until

from modelpack.ops.models import copy_name

pytestmark = pytest.mark.model

COMPLETE = "/v1/completions"
"""Where an answer may say the same for ever; Ollama's API ends one that does."""
RAMBLE = {"model": MODEL, "prompt": "Hello", "raw": True, "temperature": 0, "max_tokens": 100_000}


def ask(served: Served, content: str = QUESTION, **more: object) -> dict:
    messages = [{"role": "user", "content": content}]
    return served.post(
        "/api/chat", **{"model": MODEL, "messages": messages, "options": GREEDY, **more}
    )


def loaded(served: Served) -> list[str]:
    return sorted(model["name"] for model in served.ask("GET", "/api/ps").json()["models"])


OTHERS: set[int] = set()
"""Workers of servers that other tests share."""


@pytest.fixture(autouse=True)
def others():
    OTHERS.clear()
    OTHERS.update(workers_of(os.getpid()))


def workers() -> set[int]:
    """The workers of this test."""
    return workers_of(os.getpid()) - OTHERS


class Endless:
    """An answer that goes on until it is hung up."""

    def __init__(self, served: Served) -> None:
        place = urlsplit(served.url)
        body = json.dumps({**RAMBLE, "stream": True}).encode()
        self.sock = socket.create_connection((place.hostname, place.port), timeout=30)
        head = f"POST {COMPLETE} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
        self.sock.sendall(head.encode() + body)

    def begins(self) -> Endless:
        """Wait for its first piece."""
        assert b"200" in self.sock.recv(100)
        return self

    def hang_up(self) -> None:
        self.sock.close()


def number_of(served: Served, name: str) -> float:
    """A number of the metrics, summed over its labels."""
    lines = served.ask("GET", "/metrics").text.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


def test_a_model_stays_as_long_as_it_is_told(own):
    assert ask(own, keep_alive=0)["done"]
    until(lambda: loaded(own) == [])
    assert ask(own, keep_alive="3s")["done"]
    assert loaded(own) == ["tiny:latest"]
    until(lambda: loaded(own) == [])
    assert workers() == set()


def test_a_model_can_stay_for_ever_and_be_told_to_go(own):
    said = own.post("/api/generate", model=MODEL, keep_alive=-1)
    assert said["done_reason"] == "load"
    (model,) = own.ask("GET", "/api/ps").json()["models"]
    assert model["expires_at"] > "2100"
    said = own.post("/api/generate", model=MODEL, keep_alive=0)
    assert said["done_reason"] == "unload"
    until(lambda: loaded(own) == [])


def test_a_model_that_is_told_to_go_goes_when_its_last_answer_has_ended(own):
    endless = Endless(own).begins()
    own.post("/api/generate", model=MODEL, keep_alive=0)
    assert loaded(own) == ["tiny:latest"]
    endless.hang_up()
    until(lambda: loaded(own) == [])


def test_another_context_loads_the_model_again(own):
    ask(own)
    (first,) = workers()
    ask(own, options={**GREEDY, "temperature": 1.0})
    assert workers() == {first}
    ask(own, options={**GREEDY, "num_ctx": 128})
    assert own.ask("GET", "/api/ps").json()["models"][0]["context_length"] == 128
    assert workers() != {first}


def test_what_the_request_that_loaded_the_model_wished_is_not_what_the_next_gets(own):
    asked = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], "temperature": 0}
    wishes = {"max_tokens": 1, "stop": ["o"], "seed": 7}
    first = own.post("/v1/chat/completions", **asked, **wishes)
    second = own.post("/v1/chat/completions", **asked)
    assert first["usage"]["completion_tokens"] == 1
    assert second["choices"][0]["message"]["content"] == ANSWER
    assert second["choices"][0]["finish_reason"] == "stop"


def test_requests_share_one_loading_and_are_answered_together(own):
    with ThreadPoolExecutor(6) as pool:
        said = [*pool.map(lambda _: ask(own)["message"]["content"], range(6))]
    assert said == [ANSWER] * 6
    assert number_of(own, "modelpack_model_loads") == 1
    assert len(workers()) == 1


def test_the_idle_model_leaves_when_another_is_wanted(tmp_path):
    context = tiny_store(tmp_path)
    said = {"FROM": "tiny"}
    with serving(context, MODELPACK_MAX_LOADED_MODELS="1") as served:
        served.post("/api/create", model="second", **{"from": said["FROM"], "system": "x"})
        ask(served)
        assert ask(served, model="second")["done"]
        assert loaded(served) == ["second:latest"]
        assert len(workers()) == 1


def test_names_of_one_model_share_it(own):
    copy_name(own.context, MODEL, "again")
    ask(own)
    ask(own, model="again")
    assert number_of(own, "modelpack_model_loads") == 1


def test_a_full_queue_is_said_at_once(tmp_path):
    with serving(
        tiny_store(tmp_path), MODELPACK_NUM_PARALLEL="1", MODELPACK_MAX_QUEUE="1"
    ) as served:
        first = Endless(served).begins()
        second = Endless(served)
        until(lambda: number_of(served, "modelpack_queue") == 1)
        answer = served.ask("POST", "/api/generate", {"model": MODEL, "prompt": "x"})
        assert answer.status_code == 503
        assert "maximum pending requests exceeded" in answer.json()["error"]
        assert served.ask("GET", "/readyz").status_code == 503
        first.hang_up()
        second.begins().hang_up()
        until(lambda: number_of(served, "modelpack_slots_busy") == 0)
        assert ask(served)["message"]["content"] == ANSWER


def test_who_hangs_up_frees_the_place(tmp_path):
    with serving(tiny_store(tmp_path), MODELPACK_NUM_PARALLEL="1") as served:
        for _ in range(3):
            endless = Endless(served).begins()
            assert number_of(served, "modelpack_slots_busy") == 1
            endless.hang_up()
            until(lambda: number_of(served, "modelpack_slots_busy") == 0)
        assert ask(served)["message"]["content"] == ANSWER


def test_who_reads_nothing_holds_no_place(tmp_path):
    """The engine goes on to the end of the answer, which waits for its reader in memory."""
    with serving(tiny_store(tmp_path), MODELPACK_NUM_PARALLEL="1") as served:
        place = urlsplit(served.url)
        body = json.dumps({**RAMBLE, "stream": True, "max_tokens": 600}).encode()
        with socket.create_connection((place.hostname, place.port)) as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            head = f"POST {COMPLETE} HTTP/1.1\r\nHost: localhost\r\n"
            sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert ask(served)["message"]["content"] == ANSWER


def test_a_crash_costs_only_the_requests_of_that_worker(tmp_path):
    context = tiny_store(tmp_path)
    with serving(context, MODELPACK_MAX_LOADED_MODELS="2") as served:
        served.post("/api/create", model="second", **{"from": "tiny", "system": "x"})
        ask(served)
        (first,) = workers()
        ask(served, model="second")
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(served.ask, "POST", COMPLETE, {**RAMBLE, "stream": True})
            until(lambda: number_of(served, "modelpack_slots_busy") == 1)
            os.kill(first, signal.SIGKILL)
            text = asked.result().text
        assert "was killed" in json.loads(text.rpartition("data: ")[2])["error"]["message"]
        assert ask(served, model="second")["done"]
        assert ask(served)["message"]["content"] == ANSWER
        assert number_of(served, "modelpack_worker_deaths") == 1


def test_a_model_that_cannot_be_loaded_is_one_error_for_all_who_want_it(own):
    store = own.context.store
    entry = own.context.find(MODEL)
    path = store.path(entry.manifest.layers[0].digest)
    data = bytearray(path.read_bytes())
    data[4:8] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}], "stream": False}
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: own.ask("POST", "/api/chat", body), range(4))]
    assert {answer.status_code for answer in answers} <= {400, 500}
    assert all(answer.json()["error"] for answer in answers)
    assert own.ask("GET", "/healthz").status_code == 200


def test_a_prompt_that_does_not_fit_is_the_clients_mistake(own):
    long = "word " * 3000
    body = {"model": MODEL, "prompt": long, "truncate": False, "stream": False}
    answer = own.ask("POST", "/api/generate", body)
    assert answer.status_code == 400
    assert "context" in answer.json()["error"]


def test_metrics_are_what_prometheus_reads(own):
    ask(own)
    answer = own.ask("GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert number_of(own, "modelpack_generated_tokens_total") > 0
    assert number_of(own, "modelpack_models_loaded") == 1
    for line in answer.text.splitlines():
        assert line.startswith("# ") or len(line.rsplit(" ", 1)) == 2
    assert 'route="/api/chat",status="200"' in answer.text


SERVE = [sys.executable, "-m", "modelpack", "serve"]


def start(tmp_path: Path, **environment: str) -> tuple[subprocess.Popen[str], str]:
    """Start the program over a store with the example model; return it and its URL."""
    context = tiny_store(tmp_path)
    process = subprocess.Popen(
        SERVE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "MODELPACK_MODELS": str(context.store.layout.root),
            "MODELPACK_HOST": "127.0.0.1:0",
            **environment,
        },
    )
    for line in process.stderr:
        if line.startswith("serving models at "):
            return process, line.split()[-1]
    raise AssertionError("it did not start")


def test_the_program_drains_and_leaves_no_worker(tmp_path):
    process, url = start(tmp_path)
    served = Served(url, None)
    drained = threading.Thread(target=process.stderr.read)
    try:
        served.post("/api/generate", model=MODEL)
        answers = []
        body = {**RAMBLE, "max_tokens": 400}
        asking = threading.Thread(target=lambda: answers.append(served.ask("POST", COMPLETE, body)))
        asking.start()
        until(lambda: number_of(served, "modelpack_slots_busy") == 1)
        process.send_signal(signal.SIGTERM)
        drained.start()
        asking.join(60)
        usage = answers[0].json()["usage"]
        assert usage["completion_tokens"] == 400  # it was let go on to its end
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        drained.join()
        process.stderr.close()
    assert workers_of(process.pid) == set()


@pytest.mark.parametrize("asked", [False, True])
def test_what_users_write_is_logged_only_where_that_is_asked_for(tmp_path, asked):
    log = {"MODELPACK_LOG_FORMAT": "json", "MODELPACK_DEBUG_LOG_REQUESTS": "1" if asked else "0"}
    process, url = start(tmp_path, **log)
    try:
        served = Served(url, None)
        answer = served.ask("POST", "/api/show", {"model": "a-secret-of-mine"})
        assert answer.status_code == 404
        process.send_signal(signal.SIGTERM)
        lines = [json.loads(line) for line in process.stderr.read().splitlines()]
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    requests = [line for line in lines if line["message"] == "request"]
    assert requests[0]["id"] == answer.headers["x-request-id"]
    assert requests[0]["status"] == 404
    assert any("a-secret-of-mine" in str(line) for line in lines) is asked


def test_the_manager_is_told_when_it_is_ready(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        path = tmp_path / "notify"
        manager.bind(str(path))
        manager.settimeout(30)
        process, _ = start(tmp_path, NOTIFY_SOCKET=str(path))
        try:
            assert manager.recv(100) == b"READY=1"
            process.send_signal(signal.SIGINT)
            assert manager.recv(100) == b"STOPPING=1"
            assert process.wait(30) == 0
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


def test_a_taken_port_is_said_in_one_line(own):
    place = urlsplit(own.url)
    environment = {**os.environ, "MODELPACK_HOST": f"127.0.0.1:{place.port}"}
    done = subprocess.run(
        SERVE, capture_output=True, check=False, text=True, env=environment, timeout=60
    )
    assert done.returncode == 2
    first, hint = done.stderr.splitlines()
    assert first == f"Error: cannot listen on 127.0.0.1:{place.port}: Address already in use"
    assert hint.startswith("hint: ")
