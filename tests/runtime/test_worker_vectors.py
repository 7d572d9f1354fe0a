"""Vectors and scores out of a process of their own."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from engine.bert import RANK, TEXTS, write_bert
from engine.real import ANSWER, QUESTION, RAMBLE, TINY, require
from engine.test_embedding import HALF, NOISE, far

from modelpack.engine.base import Delta
from modelpack.errors import EngineError, InputError, StoppedError
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.vectors import load
from modelpack.runtime.worker.messages import Ask, AskScores, AskVectors
from modelpack.runtime.worker.model import WorkerModel
from modelpack.runtime.worker.process import Worker
from modelpack.template.chat import ChatMessage

pytestmark = pytest.mark.model

LIGHT = {"num_thread": 1}
GREEDY = {"temperature": 0.0, "num_predict": 40}
ENDLESS = {"temperature": 0.0, "num_predict": 100_000}
USER = [ChatMessage(role="user", content=QUESTION)]


def text_of(replies) -> str:
    return "".join(reply.text for reply in replies if isinstance(reply, Delta))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    pytest.importorskip("llama_cpp")
    path, _ = write_bert(tmp_path_factory.mktemp("bert") / "bert")
    return ModelFiles(name="encoder", weights=(path,))


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
    pytest.importorskip("llama_cpp")
    path, _ = write_bert(tmp_path_factory.mktemp("rank") / "rank", pooling=RANK)
    return ModelFiles(name="ranker", weights=(path,))


@pytest.fixture(scope="module")
def there(encoder):
    with WorkerModel(encoder, LIGHT) as model:
        yield model


@pytest.fixture(scope="module")
def writer():
    with WorkerModel(ModelFiles(name="tiny", weights=(require(TINY),)), LIGHT, parallel=2) as model:
        yield model


def test_vectors_are_those_of_this_process(encoder, there):
    texts = [" ".join(text.split() * times) for text in TEXTS for times in (1, 2, 5)] * 3
    with load(encoder, LIGHT) as here:
        for options in ({}, {"dimensions": 5}, {"normalize": False}):
            assert there.embed(texts, **options) == here.embed(texts, **options)
        assert there.n_ctx == here.n_ctx
    assert there.embed([]) == ([], [])


def test_scores_are_those_of_this_process(ranker):
    with load(ranker, LIGHT) as here, WorkerModel(ranker, LIGHT) as there:
        assert there.rerank("a cat", TEXTS) == here.rerank("a cat", TEXTS)
        with pytest.raises(InputError, match="query is empty"):
            there.rerank("", TEXTS)


@pytest.mark.parametrize(
    ("texts", "options"),
    [(["a", ""], {}), (["sky " * 99], {"truncate": False}), (["a"], {"dimensions": -1})],
)
def test_what_is_refused_is_refused_as_in_this_process(encoder, there, texts, options):
    with load(encoder, LIGHT) as here, pytest.raises(InputError) as expected:
        here.embed(texts, **options)
    with pytest.raises(InputError) as raised:
        there.embed(texts, **options)
    assert (str(raised.value), raised.value.hint) == (str(expected.value), expected.value.hint)
    assert there.embed(["a"]).tokens == [3]


def test_what_a_model_is_not_for_is_said_before_it_is_asked(ranker, there, writer, monkeypatch):
    monkeypatch.setattr(Worker, "ask", None)
    for ask, error in (
        (lambda: list(there.chat(USER)), "makes vectors and does not write text"),
        (lambda: list(there.generate("Hi", raw=True)), "makes vectors and does not write text"),
        (lambda: there.rerank("a", ["b"]), "does not compare texts"),
        (lambda: writer.rerank("a", ["b"]), "does not compare texts"),
    ):
        with pytest.raises(EngineError, match=error) as raised:
            ask()
        assert raised.value.hint


def test_the_process_refuses_it_too(encoder, ranker):
    with Worker(encoder, LIGHT) as worker:
        for wish in (Ask(raw="Hi"), AskScores(query="a", documents=("b",))):
            with pytest.raises(EngineError, match="'encoder'"):
                list(worker.ask(wish))
    with Worker(ranker, LIGHT) as worker, pytest.raises(EngineError, match="makes no vectors"):
        list(worker.ask(AskVectors(texts=("a",))))


def test_a_model_that_writes_makes_vectors_while_it_writes(writer):
    with load(ModelFiles(name="tiny", weights=(TINY,)), LIGHT) as here:
        expected = here.embed([QUESTION, "Hello"])
    going = writer.generate(RAMBLE, raw=True, options=ENDLESS)
    next(going)
    pid = writer._worker.pid
    found = writer.embed([QUESTION, "Hello"])
    assert found.tokens == expected.tokens
    assert far(found.vectors, expected.vectors) < HALF
    assert text_of(writer.chat(USER, options=GREEDY)) == ANSWER
    assert isinstance(next(going), Delta)
    going.close()
    assert writer._worker.pid == pid


def test_threads_share_it_and_each_gets_its_own(encoder, there):
    alone = {text: there.embed([text]).vectors[0] for text in TEXTS}
    with ThreadPoolExecutor(8) as pool:
        asked = [TEXTS[at % 5 : at % 5 + 2] for at in range(40)]
        for texts, found in zip(asked, pool.map(there.embed, asked), strict=True):
            assert far(found.vectors, [alone[text] for text in texts]) < NOISE


def test_it_can_be_given_up(there):
    flag = threading.Event()
    threading.Timer(0.05, flag.set).start()
    with pytest.raises(StoppedError, match="given up"):
        there.embed(["the sky is blue " * 15] * 30_000, cancel=flag)
    assert there.embed(["a"]).tokens == [3]
    assert there._worker._boxes == {}


def test_a_crash_is_one_clear_error_and_the_next_request_is_answered(encoder):
    with WorkerModel(encoder, LIGHT) as model:
        timer = threading.Timer(0.1, os.kill, (model._worker.pid, signal.SIGSEGV))
        timer.start()
        with pytest.raises(EngineError, match=r"'encoder' crashed \(signal 11\)"):
            model.embed(["the sky is blue " * 15] * 30_000)
        assert model.embed(["a"]).tokens == [3]


def test_another_context_is_another_process(encoder):
    with WorkerModel(encoder, LIGHT) as model:
        assert model.embed(["sky " * 99]).tokens == [64]
        assert model.embed(["sky " * 99], options={"num_ctx": 16}).tokens == [16]
        assert model.n_ctx == 16
