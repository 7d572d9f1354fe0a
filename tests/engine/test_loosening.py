"""Schemas as pydantic and zod write them, and what no grammar can say of one."""

from __future__ import annotations

import datetime
import decimal
import enum
import ipaddress
import json
import pathlib
import uuid
from typing import Annotated, Literal

import pytest
from engine.real import load_weights

from modelpack.engine.base import Grammar
from modelpack.engine.loosening import loosened, without_looks
from modelpack.errors import EngineError, InputError

pydantic = pytest.importorskip("pydantic", reason="pydantic is not installed")

TEXT = {"type": "string"}


@pytest.fixture(scope="module")
def engine():
    pytest.importorskip("llguidance", reason="llguidance is not installed")
    with load_weights(n_ctx=256) as loaded:
        yield loaded


def takes(engine, schema: object, value: object) -> bool:
    """Tell whether *value* is an answer that *schema* allows."""
    constraint = engine.constraints.constraint(Grammar("json_schema", json.dumps(schema)))
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    try:
        constraint.accept(*engine.vocabulary.tokenize(text, special=False))
        if not constraint.is_complete:
            end = next(t for t in range(engine.vocabulary.size) if engine.vocabulary.ends(t))
            constraint.accept(end)
    except EngineError:
        return False
    return constraint.is_complete


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Cat(pydantic.BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, pydantic.Field(ge=1, le=9)]
    kittens: list[Cat] = pydantic.Field(default_factory=list)


class Dog(pydantic.BaseModel):
    kind: Literal["dog"]
    name: Annotated[str, pydantic.Field(pattern="^[a-z]+$", max_length=9)]


class Everything(pydantic.BaseModel):
    """A field of each kind."""

    model_config = pydantic.ConfigDict(extra="forbid")
    amount: decimal.Decimal
    birthday: datetime.date
    colours: set[Colour]
    code: pydantic.Base64Str
    folder: pathlib.Path
    home: pydantic.HttpUrl
    host: ipaddress.IPv4Address
    ident: uuid.UUID
    limits: dict[Colour, float]
    network: pydantic.IPvAnyNetwork
    password: pydantic.SecretStr
    pet: Annotated[Cat | Dog, pydantic.Field(discriminator="kind")]
    place: tuple[float, float]
    seen: datetime.datetime
    sign: Literal["a", "b"] | None = None
    took: datetime.timedelta


VALUE = {
    "amount": "12.50", "birthday": "2024-02-29", "colours": ["red"], "code": "YQ==",
    "folder": "/tmp/x", "home": "https://example.com/", "host": "10.0.0.1",
    "ident": "7b7c1ac2-1f8b-4d2b-8f57-3e5b9e2b6f10", "limits": {"red": 1.5},
    "network": "10.0.0.0/8", "password": "secret",
    "pet": {"kind": "cat", "lives": 9, "kittens": [{"kind": "cat", "lives": 1}]},
    "place": [1.0, 2.5], "seen": "2024-02-29T12:00:00Z", "sign": None, "took": "PT5M",
}  # fmt: skip


def test_what_pydantic_writes_is_taken_and_kept(engine):
    schema = Everything.model_json_schema()
    assert Everything.model_validate(VALUE)
    assert takes(engine, schema, VALUE)
    for name, wrong in (
        ("birthday", "soon"), ("host", "10.0.0"), ("ident", "x"), ("place", [1.0]),
        ("colours", ["green"]), ("pet", {"kind": "cow"}), ("sign", "c"),
        ("seen", "yesterday"), ("amount", []), ("limits", {"green": 1}),
    ):  # fmt: skip
        assert not takes(engine, schema, {**VALUE, name: wrong}), name


ZOD = [
    # a decimal, as pydantic 2.11 wrote it
    ({"anyOf": [{"type": "number"}, {"type": "string", "pattern":
      r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}]}, "-1.50", "a"),
    # an address
    ({"type": "string", "format": "email", "pattern":
      r"^(?!\.)(?!.*\.\.)([A-Za-z0-9_'+\-\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\-]*\.)+[A-Za-z]{2,}$"},
     "a@example.com", "a"),
    # a duration, an emoji, a hostname, an end, a token
    ({"type": "string", "format": "duration", "pattern":
      r"^P(?:(\d+W)|(?!.*W)(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+([.,]\d+)?S)?)?)$"},
     "PT5M", "5M"),
    ({"type": "string", "format": "emoji", "pattern":
      r"^(?=[\s\S]*[\p{Extended_Pictographic}\p{Regional_Indicator}\u20E3])"
      r"[\p{Extended_Pictographic}\p{Emoji_Component}]+$"}, "\N{WHITE SMILING FACE}", "a"),
    ({"type": "string", "format": "hostname", "pattern":
      r"^(?=.{1,253}\.?$)[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?\.?$"}, "box", "-"),
    ({"type": "string", "format": "ends_with", "pattern": r".*\.x$"}, "a.x", "a.y"),
    ({"type": "string", "format": "jwt"}, "a.b.c", 1),
    # records whose names are any, of an enum, or of a pattern
    ({"type": "object", "propertyNames": TEXT, "additionalProperties": {"type": "number"}},
     {"a": 1}, {"a": "b"}),
    ({"type": "object", "propertyNames": {"type": "string", "enum": ["a", "b"]},
      "additionalProperties": {"type": "number"}, "required": ["a", "b"]},
     {"a": 1, "b": 2}, {"a": 1, "c": 2}),
    ({"type": "object", "propertyNames": {"type": "string", "pattern": "^k"},
      "additionalProperties": {"type": "number"}}, {"key": 1}, {"x": 1}),
    # what is never there, a float, a set
    ({"type": "object", "properties": {"n": {"not": {}}, "m": TEXT}, "required": ["m"],
      "additionalProperties": False}, {"m": "x"}, {"n": 1, "m": "x"}),
    ({"type": "number", "minimum": -1.7976931348623157e308, "maximum": 1.7976931348623157e308},
     -1.5, "a"),
    ({"type": "array", "uniqueItems": True, "items": {"type": "number"}}, [1, 2], ["a"]),
]  # fmt: skip


@pytest.mark.model
@pytest.mark.parametrize(("schema", "right", "wrong"), ZOD, ids=range(len(ZOD)))
def test_what_zod_writes_is_taken_and_kept(engine, schema, right, wrong):
    assert takes(engine, schema, right)
    assert not takes(engine, schema, wrong)


LEFT_OUT = [
    ({"type": "array", "contains": {"const": 1}, "minContains": 1}, []),
    ({"type": "object", "if": {"required": ["a"]}, "then": {"required": ["b"]}}, {"a": 1}),
    ({"type": "object", "dependentRequired": {"a": ["b"]}}, {"a": 1}),
    ({"type": "object", "unevaluatedProperties": False}, {"a": 1}),
    ({"type": "string", "not": {"const": "a"}}, "a"),
    ({"oneOf": [{"type": "number"}, {"type": "integer"}]}, 1),
    ({"type": "string", "pattern": r"^a\b.c$"}, "abc"),
]


@pytest.mark.parametrize(("schema", "value"), LEFT_OUT)
def test_what_no_grammar_can_say_is_left_out_unless_the_schema_forbids_it(engine, schema, value):
    assert takes(engine, schema, value)
    strict = Grammar("json_schema", json.dumps({**schema, "x-guidance": {"lenient": False}}))
    with pytest.raises(InputError, match="the JSON schema cannot be used"):
        engine.constraints.prepare(strict)


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"not": {}, "pattern": TEXT, "minimum": {"const": 1e30}}},
        {"enum": [{"not": {}}, {"pattern": r"a\b"}]},
        {"const": {"not": True}},
        {"type": "integer", "maximum": 10**30},
        {"type": "number", "maximum": 10},
        {"pattern": r"^[(?=]\\b\(?=(?:a|(?<n>b))$"},
        {"properties": {"a": TEXT}, "propertyNames": {"enum": ["a"]}},
        True,
    ],
)
def test_what_a_grammar_can_say_stays_as_it_is(schema):
    assert loosened(schema) == schema


@pytest.mark.parametrize(
    ("pattern", "left"),
    [
        (r"^(?=a)b(?!c(d)[)])e$", "^be$"),
        (r"(?<=a\))b(?<!(c))", "b"),
        (r"\bfoo\B[\b]", r"foo[\b]"),
        ("a(?=b", "a"),
        ("a\\", "a\\"),
        ("[(?=", "[(?="),
    ],
)
def test_what_looks_ahead_or_behind_is_taken_out_of_patterns(pattern, left):
    assert without_looks(pattern) == left


def test_a_schema_without_a_bottom_is_refused():
    schema: dict[str, object] = {"type": "string"}
    for _ in range(10_000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InputError, match="nested too deep"):
        loosened(schema)
