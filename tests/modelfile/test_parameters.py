import math

import pytest

from modelpack.errors import InputError
from modelpack.modelfile.parameters import PARAMETERS, check_parameters, parse_parameter


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("num_ctx", "4096", 4096),
        ("seed", "-1", -1),
        ("top_k", "+40", 40),
        ("seed", "9223372036854775807", 2**63 - 1),
        ("temperature", "0.7", 0.7),
        ("temperature", "1", 1.0),
        ("min_p", ".05", 0.05),
        ("top_p", "1.", 1.0),
        ("repeat_penalty", "11e-1", 1.1),
        ("use_mmap", "true", True),
        ("use_mmap", "F", False),
        ("stop", "</s>", ["</s>"]),
        ("stop", "", [""]),
        ("mirostat", "anything", "anything"),
    ],
)
def test_parse_parameter_gives_the_type_of_the_parameter(key, text, value):
    parsed = parse_parameter(key, text)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *(("num_ctx", text) for text in ("", "4k", "1.5", "1_000", "0x10", "\u0661", "1 2", "1\n")),
        *(("seed", text) for text in ("9223372036854775808", "-" + "9" * 5000)),
        *(("temperature", text) for text in ("", "hot", "nan", "inf", "1e999", "1,5", ".", "e5")),
        *(("use_mmap", text) for text in ("", "yes", "tRUE", "2")),
    ],
)
def test_parse_parameter_refuses_text_of_another_type(key, text):
    with pytest.raises(InputError, match=f"invalid {PARAMETERS[key].type} value .* for {key}"):
        parse_parameter(key, text)


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("NUM_CTX", "did you mean num_ctx?"),
        ("topk", "did you mean top_k?"),
        ("repeat_penality", "did you mean repeat_penalty?"),
    ],
)
def test_parse_parameter_refuses_unknown_names_with_a_near_one(key, hint):
    with pytest.raises(InputError, match="unknown parameter") as caught:
        parse_parameter(key, "1")
    assert caught.value.hint == hint


def test_parse_parameter_lists_the_names_where_none_is_near():
    with pytest.raises(InputError) as caught:
        parse_parameter("zzz", "1")
    assert caught.value.hint.startswith("one of: num_ctx, num_batch")


def test_check_parameters_takes_what_json_layers_hold():
    layer = {
        "num_ctx": 4096.0,
        "temperature": 1,
        "use_mmap": False,
        "stop": ["a", "b"],
        "seed": None,
        "mirostat": 2,
        "num_gqa": 8,
        "somebody's own": {"x": 1},
    }
    checked = check_parameters(layer)
    assert checked == {"num_ctx": 4096, "temperature": 1.0, "use_mmap": False, "stop": ["a", "b"]}
    assert type(checked["num_ctx"]) is int
    assert type(checked["temperature"]) is float


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("num_ctx", "4096"),
        ("num_ctx", 1.5),
        ("num_ctx", True),
        ("num_ctx", 2**63),
        ("num_ctx", math.inf),
        ("temperature", "0.7"),
        ("temperature", False),
        ("temperature", math.nan),
        ("temperature", 10**400),
        ("use_mmap", 1),
        ("use_mmap", "true"),
        ("stop", "</s>"),
        ("stop", ["a", 1]),
        ("stop", {"a": 1}),
    ],
)
def test_check_parameters_refuses_the_wrong_type(key, value):
    with pytest.raises(InputError, match=f"parameter {key} must be"):
        check_parameters({key: value})


def test_every_default_has_the_type_of_its_parameter():
    for parameter in PARAMETERS.values():
        if parameter.default is not None:
            assert check_parameters({parameter.name: parameter.default}) == {
                parameter.name: parameter.default
            }


def test_every_parameter_says_what_it_means():
    assert all(parameter.meaning for parameter in PARAMETERS.values())
    assert sum(parameter.ignored for parameter in PARAMETERS.values()) == 9
