"""Models that look at images, out of a worker; what they say is meaningless."""

from __future__ import annotations

import threading

import pytest
from engine.made import write_qwen2vl
from engine.real import QUESTION, RAMBLE, TINY, require
from engine.seeing import TOKENS, gif, png, png_of, webp, write_projector

from modelpack import limits
from modelpack.engine.base import Delta, Finished
from modelpack.errors import EngineError, InputError, ModelPackError
from modelpack.runtime.ask import Ask, AskTokens
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.worker.process import Worker
from modelpack.template.chat import ChatMessage

pytestmark = pytest.mark.model

LIGHT = {"num_thread": 1, "num_ctx": 256}
GREEDY = {"temperature": 0.0, "num_predict": 24}
ONE, TWO = png(40, 30, seed=1), png(50, 50, seed=2)
LOSSLESS = webp(40, 30, lossless=True)


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """The tiny model, which looks at images as LLaVA does."""
    path = tmp_path_factory.mktemp("llava") / "projector.gguf"
    projector = write_projector(path, width=128)
    files = ModelFiles(name="llava", weights=(require(TINY),), projectors=(projector,))
    with Worker(files, LIGHT, parallel=3) as worker:
        yield worker


@pytest.fixture(scope="module")
def qwen(tmp_path_factory):
    """A model of random weights, which has positions in two dimensions as Qwen 2 VL does."""
    folder = tmp_path_factory.mktemp("qwen")
    weights = write_qwen2vl(folder / "model.gguf")
    projector = write_projector(folder / "projector.gguf", width=64, kind="qwen2vl_merger")
    files = ModelFiles(name="qwen", weights=(weights,), projectors=(projector,))
    with Worker(files, LIGHT, parallel=3) as worker:
        yield worker


@pytest.fixture(params=["llava", "qwen"])
def seer(request):
    return request.getfixturevalue(request.param)


def user(content: str, *images: bytes) -> ChatMessage:
    return ChatMessage(role="user", content=content, images=images)


def ask(*messages: ChatMessage, **wishes: object) -> Ask:
    return Ask(**{"messages": messages, "options": GREEDY, "logprobs": True, **wishes})


def said(worker: Worker, wish: Ask) -> tuple[str, list[float], Finished]:
    *pieces, finished = worker.ask(wish)
    numbers = [likely.logprob for piece in pieces for likely in piece.logprobs]
    return "".join(piece.text for piece in pieces), numbers, finished


def test_what_is_said_depends_on_the_image_and_on_nothing_else(seer):
    assert "vision" in seer.capabilities
    first, second = (said(seer, ask(user("What is this?", image))) for image in (ONE, TWO))
    assert first[:2] != second[:2]
    for image, expected in ((ONE, first), (TWO, second), (ONE, first)):
        text, numbers, _ = said(seer, ask(user("What is this?", image)))
        assert text == expected[0]
        assert numbers == pytest.approx(expected[1], abs=1e-3)


def test_an_image_of_the_format_webp_is_seen_as_it_is(seer):
    expected = said(seer, ask(user("What is this?", ONE)))
    seen = said(seer, ask(user("What is this?", LOSSLESS)))
    assert seen[0] == expected[0]
    assert seen[1] == pytest.approx(expected[1], abs=1e-3)
    moving = webp(40, 30, seed=1, lossless=True, save_all=True)
    assert said(seer, ask(user("What is this?", moving)))[0] == expected[0]


def test_an_image_takes_its_place_in_the_prompt(llava):
    _, _, without = said(llava, ask(user("What is this?")))
    _, _, one = said(llava, ask(user("What is this?", ONE)))
    _, _, two = said(llava, ask(user("What is this?", ONE, TWO)))
    assert one.statistics.prompt_tokens == without.statistics.prompt_tokens + TOKENS
    assert two.statistics.prompt_tokens == without.statistics.prompt_tokens + 2 * TOKENS
    (counted,) = llava.ask(AskTokens(messages=(user("What is this?", ONE),), wants_tokens=True))
    assert counted.statistics.prompt_tokens == one.statistics.prompt_tokens
    assert len(counted.tokens) == without.statistics.prompt_tokens


def test_images_are_not_computed_again_unless_they_are_others(seer):
    opening = user("Look at these.", ONE, TWO)
    text, _, first = said(seer, ask(opening))
    turns = (opening, ChatMessage(role="assistant", content=text), user("And?"))
    _, _, second = said(seer, ask(*turns))
    assert second.statistics.cached_tokens > first.statistics.prompt_tokens - 4
    alone, numbers, _ = said(seer, ask(user("Look at these.", ONE, png(40, 30, seed=9))))
    again, same, other = said(seer, ask(user("Look at these.", ONE, png(40, 30, seed=9))))
    assert (alone, numbers) == (again, pytest.approx(same, abs=1e-3))
    *_, last = said(seer, ask(user("Look at these.", ONE, png(40, 30, seed=10))))
    assert last.statistics.cached_tokens < other.statistics.cached_tokens
    assert last.statistics.cached_tokens > 0


def test_images_and_texts_are_answered_side_by_side(seer):
    wishes = [ask(user("hello")), ask(user("What is this?", ONE)), ask(user("Hm?", TWO, ONE))]
    alone = [said(seer, wish)[0] for wish in wishes]
    results: dict[int, str] = {}

    def run(number: int) -> None:
        results[number] = said(seer, wishes[number % 3])[0]

    threads = [threading.Thread(target=run, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number] for number in range(12)] == alone * 4


HOSTILE = {
    "no image": b"hello",
    "empty": b"",
    "cut off": ONE[: len(ONE) // 2],
    "huge": png_of(b"\x7f\xff\xff\xff" * 2 + b"\x08\x02\0\0\0", b""),
    "damaged": ONE[:60] + b"\0\0\0" + ONE[63:],
    "no frame": gif(40, 30),
    "damaged webp": LOSSLESS[:30] + b"\xff" * (len(LOSSLESS) - 30),
}


@pytest.mark.parametrize("image", HOSTILE.values(), ids=HOSTILE)
def test_a_bad_image_is_refused_alone(llava, image):
    endless = {"temperature": 0.0, "num_predict": 100_000}
    going = llava.ask(Ask(raw=RAMBLE, options=endless))
    next(going)
    with pytest.raises(ModelPackError, match="an image"):
        said(llava, ask(user("What is this?", ONE, image)))
    assert isinstance(next(going), Delta)
    going.close()
    assert llava.is_alive


def test_there_can_be_too_many_images(llava):
    with pytest.raises(ModelPackError, match="images in one request"):
        said(llava, ask(user("What?", *[ONE] * (limits.IMAGES + 1))))
    with pytest.raises(EngineError, match="tokens long and the context holds"):
        said(llava, ask(user("What?", *[ONE] * limits.IMAGES)))


def test_images_belong_to_conversations(llava):
    with pytest.raises(InputError, match="belong to a conversation"):
        said(llava, ask(user("a", ONE), suffix="b"))


def test_an_answer_about_an_image_ends_where_the_context_is_full(llava):
    options = {"temperature": 0.0, "num_predict": 1000, "stop": []}
    wish = ask(user("hello " * 40, ONE), logit_bias={2: float("-inf")}, options=options)
    _, _, finished = said(llava, wish)
    assert finished.reason == "length"
    assert finished.statistics.shifted_tokens == 0


def test_a_request_can_be_given_up_while_its_image_is_looked_at(llava):
    flag = threading.Event()
    flag.set()
    (finished,) = llava.ask(ask(user("What?", png(2000, 1500, seed=5))), flag)
    assert finished.reason == "cancelled"


def test_another_model_s_projector_is_refused(tmp_path):
    projector = write_projector(tmp_path / "projector.gguf", width=96)
    files = ModelFiles(name="llava", weights=(require(TINY),), projectors=(projector,))
    with pytest.raises(EngineError, match="cannot load the projector"):
        Worker(files, LIGHT)
    bad = ModelFiles(name="llava", weights=(require(TINY),), projectors=(require(TINY),))
    with pytest.raises(EngineError, match="cannot load the projector"):
        Worker(bad, LIGHT)


def test_text_is_answered_as_without_a_projector(llava):
    assert said(llava, ask(user(QUESTION)))[0] == "The capital of France is Paris."
