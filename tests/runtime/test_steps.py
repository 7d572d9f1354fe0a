"""What one request breaks is told to whoever asked it; the others go on."""

from __future__ import annotations

from engine.fakes import AlphabetDecoder, make_loop

from modelpack.engine.base import Request
from modelpack.engine.sampling import Sampling
from modelpack.runtime.embedded import Part
from modelpack.runtime.prepared import Prepared
from modelpack.runtime.worker.steps import Answers, Jobs


class Broken:
    def feed(self, text: str) -> list[object]:
        raise ValueError("no such form")

    def end(self) -> list[object]:
        return []


def asked(**more: object) -> Prepared:
    request = Request(tokens=(1, 2), sampling=Sampling(num_predict=3))
    return Prepared(request, **more)


def test_an_answer_that_cannot_be_read_ends_alone():
    loop = make_loop(AlphabetDecoder(), slots=2)
    answers = Answers(loop)
    answers.begin(1, asked(parser=Broken()))
    answers.begin(2, asked())
    said = []
    while answers.busy:
        said += answers.step()
    (failed,) = [value for number, _, value in said if number == 1]
    assert failed["kind"] == "EngineError"
    assert failed["text"] == "reading the answer failed: ValueError: no such form"
    assert [kind for number, kind, _ in said if number == 2] == ["text"] * 3 + ["end"]


def test_a_request_that_the_engine_chokes_on_is_refused_alone():
    class Choking:
        def submit(self, request: Request) -> int:
            raise OverflowError("int too large to convert to float")

    ((number, kind, value),) = Answers(Choking()).begin(1, asked())
    assert (number, kind) == (1, "error")
    assert "OverflowError: int too large" in value["text"]


def test_vectors_that_cannot_be_computed_are_refused_alone():
    def breaks():
        yield from ()
        raise ZeroDivisionError

    jobs = Jobs()
    jobs.begin(1, breaks())
    jobs.begin(2, iter([Part([0], [[1.0]], [5])]))
    said = []
    while jobs.busy:
        said += jobs.step()
    assert said[0][:2] == [1, "error"]
    assert said[0][2]["text"] == "computing vectors failed: ZeroDivisionError"
    assert [(number, kind) for number, kind, _ in said[1:]] == [(2, "part"), (2, "end")]
