import pytest

from modelpack.template.replies.tools import Tools, convert

FUNCTION = {"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}}}


@pytest.mark.parametrize(
    ("text", "schema", "value"),
    [
        ("1", None, "1"),
        ("1", {}, "1"),
        ("1", {"type": "string"}, "1"),
        (" a ", {"type": "string"}, " a "),
        ("1", {"type": "integer"}, 1),
        (" 2.0\n", {"type": "integer"}, 2),
        ("2.5", {"type": "integer"}, "2.5"),
        ("2.5", {"type": "number"}, 2.5),
        ("2", {"type": "number"}, 2),
        ("1e999", {"type": "number"}, "1e999"),
        ("9" * 5000, {"type": "integer"}, "9" * 5000),
        ("true", {"type": "boolean"}, True),
        ("False", {"type": "boolean"}, False),
        ("true", {"type": "integer"}, "true"),
        ("yes", {"type": "boolean"}, "yes"),
        ("null", {"type": "null"}, None),
        ("null", {"type": ["integer", "null"]}, None),
        ("null", {"type": "string"}, "null"),
        ("null", {"type": "integer"}, "null"),
        ('{"a": [1]}', {"type": "object"}, {"a": [1]}),
        ("[1, 2]", {"type": "array"}, [1, 2]),
        ("[1, 2", {"type": "array"}, "[1, 2"),
        ("[1]", {"type": "object"}, "[1]"),
        ("7", {"type": ["string", "integer"]}, 7),
        ("7", {"anyOf": [{"type": "integer"}, {"type": "null"}]}, 7),
        ("x", {"oneOf": [{"type": "integer"}, {"type": "string"}]}, "x"),
        ("7", {"type": {"odd": 1}, "anyOf": 3}, "7"),
        ("7", {"anyOf": ["odd", {"type": ["integer"]}]}, 7),
        ("7", "integer", "7"),
    ],
)
def test_text_becomes_what_the_schema_says(text, schema, value):
    found = convert(text, schema)
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(
    "tool",
    [
        {"type": "function", "function": FUNCTION},
        FUNCTION,
        {"name": "f", "input_schema": FUNCTION["parameters"]},
    ],
)
def test_tools_are_known_in_the_forms_of_several_apis(tool):
    tools = Tools([tool])
    assert tools
    assert "f" in tools
    assert "g" not in tools
    assert tools.arguments("f", {"x": "1", "y": "1"}) == {"x": 1, "y": "1"}
    assert tools.arguments("g", {"x": "1"}) == {"x": "1"}


@pytest.mark.parametrize("tools", [(), [{}], [{"name": 7}], [{"function": {"name": None}}]])
def test_what_has_no_name_is_no_tool(tools):
    assert not Tools(tools)


@pytest.mark.parametrize(
    "parameters", [None, 7, {}, {"properties": None}, {"properties": {"x": 1}}]
)
def test_a_tool_without_a_schema_takes_text(parameters):
    tools = Tools([{"name": "f", "parameters": parameters}])
    assert tools.arguments("f", {"x": "1"}) == {"x": "1"}
