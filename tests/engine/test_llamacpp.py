from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from engine.real import (
    ANSWER,
    RAMBLE,
    RAMBLING,
    TINY,
    asked,
    load_weights,
    request,
    require,
    with_metadata,
    write_adapter,
)

from modelpack.engine import llamacpp, sampler
from modelpack.engine.base import Adapter, Delta, LoadOptions
from modelpack.errors import EngineError, MissingExtraError
from modelpack.gguf.group import plan_groups
from modelpack.gguf.reader import read_header
from modelpack.gguf.split import plan_split
from modelpack.gguf.values import Value

PROMPT = asked()


@pytest.fixture(scope="module")
def engine():
    with load_weights() as loaded:
        yield loaded


def answer(engine, text: str, **sampling: object):
    *pieces, finished = engine.loop.run(request(engine, text, **sampling))
    return "".join(piece.text for piece in pieces), finished


def test_importing_the_engine_does_not_import_llama_cpp():
    assert llamacpp.load is not None
    code = "import sys, modelpack.engine.llamacpp; assert 'llama_cpp' not in sys.modules"
    assert run_python(code) == 0


def run_python(code: str) -> int:
    import subprocess

    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode


def test_a_missing_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "llama_cpp", None)
    llamacpp.library.cache_clear()
    try:
        with pytest.raises(MissingExtraError, match="'runtime' extra"):
            llamacpp.load(LoadOptions(weights=(Path("model.gguf"),)))
    finally:
        llamacpp.library.cache_clear()


@pytest.mark.model
def test_a_model_says_what_it_is(engine):
    assert engine.metadata("general.architecture") == "llama"
    assert "<|im_start|>" in engine.metadata("tokenizer.chat_template")
    assert (engine.n_ctx, engine.n_ctx_train) == (1024, 1024)
    assert engine.vocabulary.borders.bos == -1
    assert engine.vocabulary.borders.eos_text == "<|im_end|>"
    assert {"<|im_start|>", "<|im_end|>"} <= engine.vocabulary.specials


@pytest.mark.model
def test_a_greedy_answer_is_the_one_the_model_was_trained_to_give(engine):
    text, finished = answer(engine, PROMPT, temperature=0)
    assert (text, finished.reason) == (ANSWER, "stop")


@pytest.mark.model
def test_an_answer_ends_after_as_many_tokens_as_were_asked_for(engine):
    text, finished = answer(engine, RAMBLE, temperature=0, num_predict=40)
    assert text.startswith(RAMBLING)
    assert (finished.reason, finished.statistics.generated_tokens) == ("length", 40)


@pytest.mark.model
def test_the_same_prompt_twice_gives_the_same_answer_from_memory(engine):
    first, _ = answer(engine, PROMPT, temperature=0, num_predict=30)
    again, finished = answer(engine, PROMPT, temperature=0, num_predict=30)
    assert again == first
    assert finished.statistics.cached_tokens == finished.statistics.prompt_tokens - 1


@pytest.mark.model
def test_a_seed_gives_the_same_answer_again_and_another_seed_another(engine):
    hot = {"temperature": 1.5, "num_predict": 30}
    first, _ = answer(engine, "The capital of", seed=7, **hot)
    assert answer(engine, "The capital of", seed=7, **hot)[0] == first
    assert answer(engine, "The capital of", seed=8, **hot)[0] != first


@pytest.mark.model
def test_every_link_of_the_chain_works(engine):
    full = {"repeat_penalty": 1.3, "typical_p": 0.9, "min_p": 0.05, "presence_penalty": 0.2}
    text, _ = answer(engine, PROMPT, seed=1, num_predict=20, repeat_last_n=-1, **full)
    assert text


@pytest.mark.model
@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": 1.5, "seed": 5},
        {"temperature": 1.0, "seed": 6, "top_k": 3, "min_p": 0.1},
        {"temperature": 1.5, "seed": 7, "repeat_penalty": 1.3, "repeat_last_n": 16},
        {"temperature": 0, "repeat_penalty": 1.5, "frequency_penalty": 0.2},
    ],
)
def test_a_shortlist_of_candidates_chooses_the_same_tokens(engine, monkeypatch, options):
    def said() -> list[str]:
        prompts = [RAMBLE, "My name is", "The capital of", PROMPT, asked("Who are you?")]
        return [answer(engine, prompt, num_predict=120, **options)[0] for prompt in prompts]

    whole = said()
    assert len("".join(whole)) > 50
    monkeypatch.setattr(sampler, "WORTHWHILE", 0)
    monkeypatch.setattr(sampler, "_SPARSE", 1)
    assert said() == whole


@pytest.mark.model
def test_a_strong_penalty_changes_a_greedy_answer(engine):
    plain, _ = answer(engine, PROMPT, temperature=0, num_predict=60)
    penalized, _ = answer(engine, PROMPT, temperature=0, num_predict=60, repeat_penalty=2.0)
    assert penalized != plain


@pytest.mark.model
def test_a_longer_prompt_reuses_what_the_shorter_one_computed(engine):
    answer(engine, PROMPT, temperature=0, num_predict=10)
    _, finished = answer(engine, PROMPT + "The city", temperature=0, num_predict=1)
    assert finished.statistics.cached_tokens >= 18


@pytest.mark.model
def test_a_stop_string_is_found_across_tokens(engine):
    text, finished = answer(engine, PROMPT, temperature=0, num_predict=60, stop=("ce is Par",))
    assert (text, finished.reason) == ("The capital of Fran", "stop")


@pytest.mark.model
def test_a_flag_stops_an_answer_and_the_next_one_is_right(engine):
    flag = threading.Event()
    events = engine.loop.run(request(engine, PROMPT, temperature=0), flag)
    for _ in range(3):
        next(events)
    flag.set()
    *rest, finished = events
    assert not any(isinstance(event, Delta) and event.text for event in rest)
    assert (finished.reason, finished.statistics.generated_tokens) == ("cancelled", 3)
    assert answer(engine, PROMPT, temperature=0)[0] == ANSWER


@pytest.mark.model
def test_a_full_context_ends_the_answer():
    with load_weights(n_ctx=32) as small:
        _, finished = answer(small, RAMBLE, temperature=0)
    assert finished.reason == "length"
    assert finished.statistics.prompt_tokens + finished.statistics.generated_tokens == 33


@pytest.mark.model
def test_a_prompt_longer_than_the_context_is_refused_with_both_numbers(engine):
    with pytest.raises(EngineError, match=r"[\d,]+ tokens long and the context holds 1,024"):
        answer(engine, "What is the capital of France? " * 200)


@pytest.mark.model
def test_two_slots_answer_as_each_would_alone():
    with load_weights(slots=2, n_ctx=128) as both:
        loop = both.loop
        for text in (PROMPT, asked("hello")):
            loop.submit(request(both, text, temperature=0, num_predict=40))
        said = {1: "", 2: ""}
        while loop.busy:
            for number, event in loop.step():
                said[number] += event.text if isinstance(event, Delta) else ""
        assert said[1] == ANSWER
        assert said[2] == answer(both, asked("hello"), temperature=0)[0]


@pytest.mark.model
def test_shards_under_any_names_load_in_the_order_given(tmp_path):
    model = require(TINY)
    data = model.read_bytes()
    header = read_header(model)
    groups = plan_groups(header.tensors, max_size=400_000, layering="block", max_groups=100)
    shards = []
    for number, shard in enumerate(plan_split(header, groups)):
        parts = (data[p.offset : p.offset + p.length] + bytes(p.padding) for p in shard.pieces)
        shards.append(tmp_path / f"sha256-{number:064x}")
        shards[-1].write_bytes(shard.header + b"".join(parts))
    assert len(shards) > 2
    with load_weights(*shards) as loaded:
        text, _ = answer(loaded, PROMPT, temperature=0)
    assert text == ANSWER


@pytest.mark.model
def test_a_link_with_any_name_loads(tmp_path):
    link = tmp_path / "blob"
    link.symlink_to(require(TINY))
    with load_weights(link) as loaded:
        assert loaded.n_ctx == 1024


@pytest.mark.model
@pytest.mark.parametrize("data", [b"", b"not a model at all" * 100, b"GGUF\x03\0\0\0"])
def test_a_file_that_is_no_model_is_refused_in_one_line(tmp_path, data, capfd):
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    path = tmp_path / "bad.gguf"
    path.write_bytes(data)
    with pytest.raises(EngineError, match=r"cannot load 'bad\.gguf': \S") as caught:
        llamacpp.load(LoadOptions(weights=(path,)))
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.model
def test_a_model_cut_short_is_refused(tmp_path):
    path = tmp_path / "cut.gguf"
    path.write_bytes(require(TINY).read_bytes()[:1_000_000])
    with pytest.raises(EngineError, match="corrupted or incomplete"):
        llamacpp.load(LoadOptions(weights=(path,)))


@pytest.mark.model
def test_a_model_that_writes_no_text_is_refused(tmp_path):
    no = Value.boolean(False)
    copy = with_metadata(require(TINY), tmp_path / "bert", llama__attention__causal=no)
    with pytest.raises(EngineError, match="'llama' does not write text"):
        load_weights(copy)


@pytest.mark.model
def test_a_missing_file_is_named():
    pytest.importorskip("llama_cpp", reason="llama-cpp-python is not installed")
    with pytest.raises(EngineError, match=r"no such file: '/nowhere/model\.gguf'"):
        llamacpp.load(LoadOptions(weights=(Path("/nowhere/model.gguf"),)))


@pytest.mark.model
def test_an_adapter_changes_the_answer_as_much_as_its_scale_says(tmp_path):
    path = write_adapter(tmp_path / "lora")

    def greedy(scale: float) -> str:
        model, adapters = require(TINY), (Adapter(path, scale),)
        options = LoadOptions(weights=(model,), adapters=adapters, n_threads=1)
        with llamacpp.load(options) as loaded:
            return answer(loaded, PROMPT, temperature=0, num_predict=40)[0]

    assert greedy(0.0) == ANSWER
    assert greedy(1.0) != ANSWER


@pytest.mark.model
def test_a_model_given_as_adapter_is_refused():
    model = require(TINY)
    with pytest.raises(EngineError, match=r"cannot load the adapter 'tiny\.gguf'"):
        llamacpp.load(LoadOptions(weights=(model,), adapters=(Adapter(model),)))


@pytest.mark.model
def test_closing_twice_does_nothing():
    loaded = load_weights()
    loaded.close()
    loaded.close()


@pytest.mark.model
@pytest.mark.parametrize(
    "text", ["", " Paris\n", "Grüße, 世界 🦙", "<|im_end|> is text", "a" * 300]
)
def test_tokens_give_back_their_text(engine, text):
    vocabulary = engine.vocabulary
    tokens = vocabulary.tokenize(text, special=False)
    assert b"".join(map(vocabulary.piece, tokens)).decode() == text


@pytest.mark.model
def test_the_name_of_a_control_token_is_that_token_only_if_asked_for(engine):
    vocabulary = engine.vocabulary
    (end,) = vocabulary.tokenize("<|im_end|>", special=True)
    assert end not in vocabulary.tokenize("<|im_end|>", special=False)
    assert vocabulary.piece(end) == b""
    assert vocabulary.ends(end)
