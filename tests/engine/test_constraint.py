from __future__ import annotations

import ctypes
import dataclasses
import importlib
import json
import math
import random
import re
import sys
import threading
from collections import Counter as Counts

import pytest
from engine.made import write_llama
from engine.real import RAMBLE, asked, load_weights, request

from modelpack.engine import constraint as module
from modelpack.engine import shortlist
from modelpack.engine.base import Delta, Failed, Grammar, Request
from modelpack.engine.sampler import LlamaSampler
from modelpack.engine.sampling import Sampling
from modelpack.errors import EngineError, InputError, LimitError, MissingExtraError

pytestmark = pytest.mark.model

CITY = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "maxLength": 12},
        "people": {"type": "integer", "minimum": 3, "maximum": 9},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}, "maxItems": 3},
    },
    "required": ["city", "people", "tags"],
    "additionalProperties": False,
}
SCHEMA = Grammar("json_schema", json.dumps(CITY))
DIGITS = Grammar("regex", "[0-9]+")


@pytest.fixture(scope="module")
def engine():
    pytest.importorskip("llguidance", reason="llguidance is not installed")
    with load_weights(n_ctx=256) as loaded:
        yield loaded


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    pytest.importorskip("llguidance", reason="llguidance is not installed")
    path = write_llama(tmp_path_factory.mktemp("large") / "model", words=20_003)
    with load_weights(path, n_ctx=256) as loaded:
        yield loaded


def constrained(engine, text: str, grammar: Grammar, **sampling: object) -> Request:
    tokens = request(engine, text).tokens
    return Request(tokens=tokens, sampling=Sampling(**sampling), grammar=grammar)


def answer(engine, grammar: Grammar, text: str = "", **sampling: object):
    asked_for = constrained(engine, text or asked(), grammar, **sampling)
    *pieces, finished = engine.loop.run(asked_for)
    return "".join(piece.text for piece in pieces), finished.reason


@pytest.mark.parametrize("seed", range(8))
def test_a_schema_is_followed_to_its_end_whatever_the_model_would_say(engine, seed):
    said, reason = answer(engine, SCHEMA, RAMBLE, seed=seed, temperature=2.0, top_k=0)
    value = json.loads(said)
    assert reason == "stop"
    assert list(value) == ["city", "people", "tags"]
    assert len(value["city"]) <= 12
    assert 3 <= value["people"] <= 9
    assert set(value["tags"]) <= {"old", "new"}


class Counter:
    """Counts the steps of an engine."""

    def __init__(self, engine, monkeypatch) -> None:
        self.steps = 0
        self._decode = engine.loop._decoder.decode
        monkeypatch.setattr(engine.loop._decoder, "decode", self.decode)

    def decode(self, chunks):
        self.steps += 1
        return self._decode(chunks)


@pytest.mark.parametrize("which", ["engine", "large"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_names_that_a_schema_dictates_take_no_steps_of_their_own(request, monkeypatch, which, seed):
    loaded = request.getfixturevalue(which)
    steps = Counter(loaded, monkeypatch)
    names = [f"a_name_of_some_length_{number}" for number in range(4)]
    schema = {
        "type": "object",
        "properties": {name: {"enum": [True, False]} for name in names},
        "required": names,
        "additionalProperties": False,
    }
    grammar = Grammar("json_schema", json.dumps(schema))
    # Whether tokens are computed together moves the last digits of the tiny model's numbers.
    temperature = 0.0 if which == "engine" else 0.8
    asked_for = constrained(loaded, RAMBLE, grammar, seed=seed, temperature=temperature)
    *pieces, finished = loaded.loop.run(asked_for)
    assert list(json.loads("".join(piece.text for piece in pieces))) == names
    assert finished.reason == "stop"
    assert steps.steps < finished.statistics.generated_tokens / 2
    told = dataclasses.replace(asked_for, logprobs=True)
    *one_by_one, ended = loaded.loop.run(told)
    assert "".join(piece.text for piece in one_by_one) == "".join(piece.text for piece in pieces)
    assert ended.statistics.generated_tokens == finished.statistics.generated_tokens
    likely = [token for piece in one_by_one for token in piece.logprobs]
    assert len(likely) == ended.statistics.generated_tokens


@pytest.mark.parametrize("which", ["engine", "large"])
@pytest.mark.parametrize(
    "grammar",
    [
        SCHEMA,
        Grammar("json"),
        Grammar("regex", "(north|south)(east|west)? of [A-Z][a-z]+, please"),
        Grammar("lark", 'start: "once upon a time" (" there was" | " there were") /[ a-z]{3}/'),
    ],
)
def test_what_is_forced_is_all_that_is_allowed(request, which, grammar):
    loaded = request.getfixturevalue(which)
    draw = random.Random(1)
    met = 0
    for _ in range(5):
        constraint = loaded.constraints.constraint(grammar)
        for _ in range(60):
            forced = constraint.forced()
            bits = constraint.allowed()
            tokens = range(loaded.vocabulary.size)
            allowed = [token for token in tokens if bits[token >> 3] >> (token & 7) & 1]
            if forced:
                met += 1
                assert allowed == forced[:1]
            if not allowed:
                break
            constraint.accept(draw.choice(allowed))
            if constraint.is_complete:
                break
    assert met


def test_an_answer_that_is_forced_to_its_end_needs_no_more_steps(engine, monkeypatch):
    steps = Counter(engine, monkeypatch)
    said, reason = answer(engine, Grammar("lark", 'start: "exactly this, and nothing else"'))
    assert (said, reason) == ("exactly this, and nothing else", "stop")
    assert steps.steps <= 2


def test_penalties_hear_of_what_was_forced(engine):
    grammar = Grammar("regex", "a{20}[ab]")
    (letter,) = engine.vocabulary.tokenize("a", special=False)[-1:]
    wishes = {"temperature": 0, "logit_bias": ((letter, 40.0),)}
    assert answer(engine, grammar, **wishes)[0] == 21 * "a"
    assert answer(engine, grammar, frequency_penalty=5.0, **wishes)[0] == 20 * "a" + "b"


def test_json_mode_is_any_object(engine):
    said, reason = answer(engine, Grammar("json"), temperature=0)
    assert isinstance(json.loads(said), dict)
    assert reason == "stop"


@pytest.mark.parametrize(
    ("grammar", "pattern"),
    [
        (Grammar("regex", "[a-c]{3}-[0-9]{2}"), "[a-c]{3}-[0-9]{2}"),
        (Grammar("lark", 'start: "yes" | "no" " way"'), "yes|no way"),
        (Grammar("gbnf", 'root ::= ("ja" | "nein") [0-9]{2} "!"'), "(ja|nein)[0-9]{2}!"),
    ],
)
@pytest.mark.parametrize("temperature", [0, 1.5])
def test_an_answer_ends_when_the_grammar_does(engine, grammar, pattern, temperature):
    said, reason = answer(engine, grammar, temperature=temperature, seed=2)
    assert re.fullmatch(pattern, said)
    assert reason == "stop"


def test_an_answer_ends_only_where_the_grammar_lets_it(engine):
    for seed in range(10):
        said, reason = answer(engine, DIGITS, seed=seed, num_predict=200, temperature=1.5)
        assert re.fullmatch("[0-9]+", said)
        assert reason in ("stop", "length")


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        (Grammar("json_schema", "{"), "the JSON schema cannot be used: Expecting"),
        (Grammar("json_schema", '{"type": "strin"}'), "the JSON schema .* strin"),
        (Grammar("json_schema", '{"$ref": "#/$defs/a"}'), "the JSON schema .* not exist"),
        (Grammar("json_schema", "[" * 100_000), "the JSON schema cannot be used"),
        (Grammar("regex", "(a"), "the regular expression cannot be used"),
        (Grammar("lark", "start: foo"), "the Lark grammar .* unknown name"),
        (Grammar("gbnf", "root ::= nothing"), "the GBNF grammar .* not found"),
        (Grammar("gbnf", "root := x"), "the GBNF grammar .* Expected"),
    ],
)
def test_a_grammar_that_makes_no_sense_is_refused_in_one_line(engine, grammar, message):
    with pytest.raises(InputError, match=message) as caught:
        engine.loop.submit(constrained(engine, RAMBLE, grammar))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert not engine.loop.busy


def test_a_grammar_larger_than_the_bound_is_refused(engine):
    with pytest.raises(LimitError, match="longer than 262,144 characters"):
        engine.constraints.prepare(Grammar("regex", "a" * (module.GRAMMAR + 1)))


def test_a_grammar_that_becomes_too_complex_fails_alone(engine, monkeypatch):
    monkeypatch.setattr(module, "LEXER_STATES", 40)
    loop = engine.loop
    bad = loop.submit(constrained(engine, RAMBLE, Grammar("regex", "(a|b)*a(a|b){60}"), seed=2))
    good = loop.submit(constrained(engine, RAMBLE, Grammar("regex", "ab"), temperature=0))
    said = {bad: [], good: []}
    while loop.busy:
        for number, event in loop.step():
            said[number].append(event)
    assert [type(event) for event in said[bad]][-1] is Failed
    assert isinstance(said[bad][-1].error, EngineError)
    assert "".join(event.text for event in said[good] if isinstance(event, Delta)) == "ab"


def test_a_grammar_is_compiled_once_and_the_oldest_are_forgotten(engine, monkeypatch):
    engine.constraints._compiled.clear()
    built: list[Grammar] = []
    build = module.Constraints._build
    monkeypatch.setattr(
        module.Constraints, "_build", lambda self, g: built.append(g) or build(self, g)
    )
    monkeypatch.setattr(module, "COMPILED", 2)
    one, two, three = (Grammar("regex", f"b{number}") for number in range(3))
    for grammar in (one, one, two, one, three, one, two):
        engine.constraints.prepare(grammar)
    assert built == [one, two, three, two]


def test_who_has_a_grammar_compiled_does_not_need_it_to_be_kept(engine, monkeypatch):
    grammar = Grammar("regex", "only [0-9] once")
    compiled = engine.constraints.prepare(grammar)
    engine.constraints._compiled.clear()
    monkeypatch.setattr(engine.constraints, "_build", None)
    asked_for = constrained(engine, RAMBLE, grammar)
    *pieces, _ = engine.loop.run(dataclasses.replace(asked_for, compiled=compiled))
    assert re.fullmatch("only [0-9] once", "".join(piece.text for piece in pieces))


def test_threads_can_prepare_grammars_together(engine):
    grammars = [Grammar("regex", f"c{number % 3}") for number in range(12)]
    threads = [threading.Thread(target=engine.constraints.prepare, args=(g,)) for g in grammars]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answer(engine, grammars[0])[0] == "c0"


def test_a_grammar_that_takes_long_holds_up_no_other_and_is_compiled_once(engine, monkeypatch):
    slow, quick = Grammar("regex", "slow"), Grammar("regex", "quick")
    built: list[Grammar] = []
    begun, go_on = threading.Event(), threading.Event()
    build = module.Constraints._build

    def building(self, grammar):
        built.append(grammar)
        if grammar == slow:
            begun.set()
            assert go_on.wait(20)
        return build(self, grammar)

    monkeypatch.setattr(module.Constraints, "_build", building)
    threads = [threading.Thread(target=engine.constraints.prepare, args=(slow,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    assert begun.wait(20)
    ahead = threading.Thread(target=engine.constraints.prepare, args=(quick,), daemon=True)
    ahead.start()
    ahead.join(10)
    go_on.set()
    for thread in threads:
        thread.join()
    assert not ahead.is_alive()
    assert built == [slow, quick]


@pytest.mark.parametrize(
    ("schema", "complaint"),
    [
        (
            {"patternProperties": {f"^a{{{n}}}b": {"type": "string"} for n in range(101)}},
            "101 patterns in patternProperties",
        ),
        ({"allOf": [{"pattern": f".*a{n}"} for n in range(17)]}, "17 schemas in allOf"),
        (
            {"items": {"allOf": [{"allOf": [{"pattern": f".*{n}.*"}]} for n in range(9)]}},
            "18 schemas in allOf",
        ),
        ({"properties": {"a": {"pattern": "a" * 4097}}}, "a pattern of 4,097 characters"),
    ],
)
def test_a_schema_that_would_take_minutes_to_compile_is_refused(engine, schema, complaint):
    with pytest.raises(InputError, match=complaint):
        engine.constraints.prepare(Grammar("json_schema", json.dumps(schema)))


def test_two_answers_with_one_grammar_do_not_disturb_each_other(engine):
    first = answer(engine, SCHEMA, seed=1, temperature=1.5)
    answer(engine, SCHEMA, seed=2, temperature=1.5)
    assert answer(engine, SCHEMA, seed=1, temperature=1.5) == first


def test_without_llguidance_the_extra_is_named(engine, monkeypatch):
    monkeypatch.setitem(sys.modules, "llguidance", None)
    with pytest.raises(MissingExtraError, match="'runtime' extra"):
        engine.loop.submit(constrained(engine, RAMBLE, Grammar("regex", "never seen")))


@pytest.mark.parametrize(
    "options",
    [
        {"temperature": 0},
        {"temperature": 1.5},
        {"temperature": 1.5, "top_k": 0},
        {"temperature": 1.5, "top_k": 3, "top_p": 1.0, "min_p": 0.1},
        {"temperature": 1.5, "repeat_penalty": 1.3, "repeat_last_n": 16},
        {"temperature": 1.5, "logit_bias": tuple((token, 3.0) for token in range(40, 60))},
    ],
)
@pytest.mark.parametrize(
    "grammar", [SCHEMA, Grammar("regex", "[0-9]{12,60}"), Grammar("regex", "([a-m~ ]|\n)*")]
)
@pytest.mark.parametrize("few", [0, 1024])
@pytest.mark.parametrize("which", ["engine", "large"])
def test_the_same_is_chosen_as_by_the_whole_chain(
    request, monkeypatch, which, grammar, options, few
):
    loaded = request.getfixturevalue(which)
    monkeypatch.setattr(shortlist, "_FEW", few)

    def said() -> list[str]:
        bounds = {"num_predict": 30, **options}
        return [answer(loaded, grammar, RAMBLE, seed=seed, **bounds)[0] for seed in range(4)]

    quick = said()
    assert len("".join(quick)) > 30
    monkeypatch.setattr(LlamaSampler, "_guess", by_whole_chain)
    monkeypatch.setattr(LlamaSampler, "_choose_allowed", by_whole_chain)
    assert said() == quick


def by_whole_chain(sampler: LlamaSampler, row: int, allowed: object = None) -> int:
    """What llama.cpp's own chain chooses when what is not *allowed* has no probability."""
    numpy, library = importlib.import_module("numpy"), sampler._library
    logits = sampler._rows[row]
    data = numpy.zeros(len(logits), [("id", "i4"), ("logit", "f4"), ("p", "f4")])
    data["id"], data["logit"] = numpy.arange(len(logits)), logits
    if allowed is not None:
        bits = numpy.unpackbits(allowed, bitorder="little")[: len(logits)]
        data["logit"][bits == 0] = -numpy.inf
    place = ctypes.cast(data.ctypes.data, ctypes.POINTER(library.llama_token_data))
    array = library.llama_token_data_array(place, len(data), -1, False)
    library.llama_sampler_apply(sampler._chain, ctypes.byref(array))
    token = int(array.data[array.selected].id)
    if allowed is not None and sampler.shortlist is None:
        sampler.accept((token,))
    return token


@pytest.mark.parametrize("penalty", [1.0, 1.000001], ids=["with a guess", "without"])
def test_what_is_allowed_is_chosen_as_often_as_it_is_likely(engine, penalty):
    letters = "etaoinshr"
    grammar = Grammar("regex", f"[{letters}]")
    options = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repeat_penalty": penalty}
    draws = 1500
    came = Counts(answer(engine, grammar, seed=seed, **options)[0] for seed in range(draws))
    likely = dataclasses.replace(
        constrained(engine, asked(), Grammar("regex", "[a-z]"), num_predict=1),
        logprobs=True,
        top_logprobs=engine.vocabulary.size,
    )
    piece, *_ = engine.loop.run(likely)
    (first,) = piece.logprobs
    weights = {entry.text: math.exp(entry.logprob) for entry in first.top if entry.text in letters}
    total = sum(weights.values())
    for letter in letters:
        expected = weights[letter] / total
        noise = math.sqrt(expected * (1 - expected) / draws)
        assert came[letter] / draws == pytest.approx(expected, abs=4.5 * noise + 1e-9), letter
