"""A model in a process of its own: it answers as in ours, and only it can crash."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from engine.real import ANSWER, QUESTION, RAMBLE, TINY, require, with_context
from support.soak import Soak

from modelpack import limits
from modelpack.engine.base import Delta, Finished
from modelpack.errors import EngineError, TemplateError
from modelpack.gguf.reader import read_header
from modelpack.runtime.loaded import load
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.worker.messages import Ask
from modelpack.runtime.worker.model import WorkerModel
from modelpack.runtime.worker.process import Worker
from modelpack.template.chat import ChatMessage, ToolCall

pytestmark = pytest.mark.model

LIGHT = {"num_thread": 1}
GREEDY = {"temperature": 0.0, "num_predict": 40}
ENDLESS = {"temperature": 0.0, "num_predict": 100_000, "num_ctx": 1024}
SOAK_S = float(os.environ.get("MODELPACK_SOAK_S", "8"))
"""How long clients come and go."""
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Current weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def files(**changes: object) -> ModelFiles:
    return ModelFiles(**{"name": "tiny", "weights": (require(TINY),), **changes})


def user(content: str) -> ChatMessage:
    return ChatMessage(role="user", content=content)


def text_of(replies) -> str:
    return "".join(reply.text for reply in replies if isinstance(reply, Delta))


def count_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def ends(pid: int) -> bool:
    """Tell whether the process *pid*, which is not our child, ends within some seconds."""
    for _ in range(500):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


@pytest.fixture(scope="module")
def tiny():
    with WorkerModel(files(), LIGHT) as model:
        yield model


@pytest.fixture
def worker():
    with Worker(files(), LIGHT, parallel=4) as worker:
        yield worker


def endless(worker: Worker):
    """Begin an answer that does not end; it has begun when this returns."""
    replies = worker.ask(Ask(raw=RAMBLE, options=ENDLESS))
    next(replies)
    return replies


def test_it_answers_as_in_this_process(tiny):
    wishes = {"temperature": 1.5, "seed": 7, "num_predict": 30}
    with load(files(), LIGHT) as here:
        for question in (QUESTION, "hello", "Who are you?"):
            expected = [*here.chat([user(question)], options=wishes)]
            got = [*tiny.chat([user(question)], options=wishes)]
            assert text_of(got) == text_of(expected)
            assert got[-1].reason == expected[-1].reason
            assert got[-1].statistics.generated_tokens == expected[-1].statistics.generated_tokens


def test_options_of_the_request_that_loaded_the_model_are_not_those_of_the_next():
    with WorkerModel(files(), {**LIGHT, "temperature": 0.0}) as model:
        *_, first = model.chat([user(QUESTION)], options={"num_ctx": 256, "num_predict": 1})
        said = [*model.chat([user(QUESTION)], options={"num_ctx": 256})]
    assert (first.reason, first.statistics.generated_tokens) == ("length", 1)
    assert (text_of(said), said[-1].reason) == (ANSWER, "stop")


def test_loading_counts_with_the_first_answer_only():
    with WorkerModel(files(), LIGHT) as model:
        first, second = (
            [*model.chat([user("hello")], options=GREEDY)][-1].statistics for _ in range(2)
        )
    assert first.load_s > 0 == second.load_s


def test_calls_come_parsed(tiny):
    *said, finished = tiny.chat([user("What is the weather in Lyon?")], tools=[WEATHER])
    assert said == [ToolCall(name="get_weather", arguments={"city": "Lyon"})]
    assert finished.reason == "stop"


def test_another_context_is_another_process_and_the_same_one_is_not(tiny):
    before = tiny.n_ctx
    first = tiny._ready(tiny._options, tiny._parameters).pid
    assert text_of(tiny.chat([user(QUESTION)], options={**GREEDY, "num_ctx": 128})) == ANSWER
    second = tiny._ready(tiny._options, tiny._parameters).pid
    assert tiny.n_ctx == 128 != before
    assert text_of(tiny.chat([user(QUESTION)], options={**GREEDY, "num_ctx": 128})) == ANSWER
    assert tiny._ready(tiny._options, tiny._parameters).pid == second != first
    assert not is_there(first)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"weights": (Path("/nowhere.gguf"),)}, "no such file"),
        ({"template": "{{ .Broken"}, "template"),
    ],
)
def test_what_cannot_be_loaded_says_the_same_as_in_this_process(changes, error):
    with pytest.raises((EngineError, TemplateError), match=error) as here, load(files(**changes)):
        pass
    with pytest.raises(type(here.value), match=error) as there:
        WorkerModel(files(**changes))
    assert (str(there.value), there.value.hint) == (str(here.value), here.value.hint)


def test_a_model_that_cannot_fit_is_refused_with_the_numbers(tmp_path):
    huge = with_context(require(TINY), tmp_path / "huge.gguf", 2_000_000_000)
    with pytest.raises(EngineError, match=r"needs .* there is") as raised:
        Worker(files(weights=(huge,)), {"num_ctx": 1_900_000_000})
    assert "num_ctx" in raised.value.hint


def test_it_says_what_computes(worker):
    assert worker.processor in ("100% CPU", "100% GPU", "")


def test_a_request_that_is_wrong_is_refused_alone(worker):
    going = endless(worker)
    with pytest.raises(EngineError, match="holds"):
        text_of(worker.ask(Ask(raw="word " * 5000, truncate=False)))
    with pytest.raises(EngineError, match="does not think"):
        text_of(worker.ask(Ask(messages=(user("Hi"),), think=True)))
    assert isinstance(next(going), Delta)
    going.close()


def test_many_are_answered_at_once_and_each_gets_its_own(worker):
    questions = [f"What is the capital of {c}?" for c in ("France", "Italy", "Japan", "Spain")]
    alone = [text_of(worker.ask(Ask(messages=(user(q),), options=GREEDY))) for q in questions]
    with ThreadPoolExecutor(8) as pool:
        asks = [Ask(messages=(user(question),), options=GREEDY) for question in questions * 6]
        together = list(pool.map(lambda ask: text_of(worker.ask(ask)), asks))
    assert together == alone * 6
    assert len(set(alone)) == 4


def test_cancelling_ends_one_answer(worker):
    flag = threading.Event()
    replies = worker.ask(Ask(raw=RAMBLE, options=ENDLESS), flag)
    other = endless(worker)
    next(replies)
    flag.set()
    *_, last = replies
    assert last == Finished("cancelled", last.statistics)
    assert isinstance(next(other), Delta)
    other.close()


def test_whoever_leaves_frees_the_slot(worker):
    for _ in range(12):  # three times as many as there are slots
        endless(worker).close()
    assert text_of(worker.ask(Ask(messages=(user(QUESTION),), options=GREEDY))) == ANSWER
    assert worker._boxes == {}


def test_a_killed_worker_is_one_clear_error_and_the_next_question_is_answered():
    with WorkerModel(files(), LIGHT) as model:
        replies = model.generate(RAMBLE, raw=True, options={**ENDLESS, "num_ctx": 0})
        next(replies)
        os.kill(model._worker.pid, signal.SIGKILL)
        with pytest.raises(EngineError, match="was killed") as raised:
            list(replies)
        assert "memory" in raised.value.hint
        assert text_of(model.chat([user(QUESTION)], options=GREEDY)) == ANSWER


def test_a_crash_says_how_and_reaches_all_who_wait(worker):
    going = [endless(worker) for _ in range(3)]
    os.kill(worker.pid, signal.SIGSEGV)
    for replies in going:
        with pytest.raises(EngineError, match=r"crashed \(signal 11\)"):
            list(replies)
    with pytest.raises(EngineError, match="crashed"):
        list(worker.ask(Ask(raw="Hi")))
    assert not worker.is_alive


def test_a_worker_that_hangs_is_given_up(worker, monkeypatch):
    monkeypatch.setattr(limits, "WORKER_SILENCE_S", 0.2)
    going = endless(worker)
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(EngineError, match="has not answered for"):
        list(going)
    assert not worker.is_alive


def test_an_idle_worker_may_be_silent(worker, monkeypatch):
    monkeypatch.setattr(limits, "WORKER_SILENCE_S", 0.0)
    time.sleep(1.2)  # longer than its reader waits at a time
    monkeypatch.undo()
    assert text_of(worker.ask(Ask(messages=(user(QUESTION),), options=GREEDY))) == ANSWER


def test_a_request_that_takes_long_to_read_holds_up_no_other(worker):
    number, box = worker._send(Ask(raw="ab " * 2_000_000, truncate=False))
    assert text_of(worker.ask(Ask(messages=(user(QUESTION),), options=GREEDY))) == ANSWER
    assert box.empty()
    assert "tokens long" in str(box.get(timeout=60))
    worker._boxes.pop(number)


def test_closing_ends_the_process_also_in_the_middle_of_an_answer():
    worker = Worker(files(), LIGHT)
    going = endless(worker)
    worker.close()
    worker.close()
    assert not is_there(worker.pid)
    with pytest.raises(EngineError, match="was unloaded"):
        list(going)


def test_closing_ends_a_process_that_does_not_listen(monkeypatch):
    monkeypatch.setattr(limits, "WORKER_LEAVE_S", 0.1)
    worker = Worker(files(), LIGHT)
    os.kill(worker.pid, signal.SIGSTOP)
    worker.close()
    assert not is_there(worker.pid)


@pytest.mark.parametrize("set_by_user", [False, True])
def test_its_memory_is_in_huge_pages_unless_the_user_says_otherwise(monkeypatch, set_by_user):
    setting = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    if not setting.exists() or "[madvise]" not in setting.read_text():
        pytest.skip("this kernel does not leave it to programs whether pages are huge")
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split("."))) < (2, 35):
        pytest.skip("this library does not ask for huge pages")
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if set_by_user:
        monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=0")
    with Worker(files(), LIGHT) as worker:
        memory = Path(f"/proc/{worker.pid}/smaps_rollup").read_text()
    huge = next(line for line in memory.splitlines() if line.startswith("AnonHugePages:"))
    assert (int(huge.split()[1]) == 0) == set_by_user


@pytest.mark.parametrize(
    "ask",
    [
        "Ask(raw='Hello', options={'temperature': 0.0, 'num_predict': 100000})",
        "Ask(messages=(ChatMessage(role='user', content='x'),))",  # it is rendered for hours
    ],
    ids=["writing", "rendering"],
)
def test_no_worker_outlives_a_parent_that_is_killed(ask, tmp_path):
    own = read_header(require(TINY)).text("tokenizer.chat_template").encode()
    loops = (b"{% for _ in range(9999) %}" * 3 + b"{% endfor %}" * 3).ljust(len(own))
    model = tmp_path / "endless.gguf"
    model.write_bytes(TINY.read_bytes().replace(own, loops))
    code = f"""
        import sys
        from pathlib import Path
        from modelpack.runtime.model import ModelFiles
        from modelpack.runtime.worker.messages import Ask
        from modelpack.runtime.worker.process import Worker
        from modelpack.template.chat import ChatMessage

        files = ModelFiles(name="tiny", weights=(Path(sys.argv[1]),))
        worker = Worker(files, {{"num_thread": 1}})
        worker._send({ask})  # and what it brings is for nobody
        print(worker.pid, flush=True)
        sys.stdin.read()
    """
    parent = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(model)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with parent:
        pid = int(parent.stdout.readline())
        assert is_there(pid)
        parent.kill()
    try:
        assert ends(pid)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_nothing_of_the_folder_one_is_in_is_imported(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    with Worker(files(), LIGHT) as worker:
        assert text_of(worker.ask(Ask(messages=(user(QUESTION),), options=GREEDY))) == ANSWER


@pytest.mark.timeout(SOAK_S + 120)
def test_clients_come_and_go_while_the_worker_is_killed():
    soak = Soak(require(TINY), QUESTION, ANSWER, kill_every_s=min(5.0, SOAK_S / 8))
    threads, files_open = threading.active_count(), count_files()
    tally = soak.run(SOAK_S)
    print(tally)
    known = {"answered", "structured", "cancelled", "length", "left", "killed", "worker killed"}
    assert set(tally.ends) <= known
    assert {"answered", "structured", "cancelled", "left", "killed"} <= set(tally.ends)
    assert tally.wrong == []
    assert tally.slowest_s < 30
    assert tally.memory[-1] < tally.memory[len(tally.memory) // 4] + 20 * 1024
    assert (threading.active_count(), count_files()) == (threads, files_open)
