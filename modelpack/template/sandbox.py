"""What Jinja templates run in. With `jinja` and `bounding` all that knows `jinja2`.

Nothing is computed when a template is parsed, and what makes a text or a list asks its allowance.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from modelpack.errors import MissingExtraError
from modelpack.template import amounts
from modelpack.template.allowance import left, made, told
from modelpack.template.bounding import ADDED, JOINED, NESTED, PRINTED, SIZED, TURN

if TYPE_CHECKING:
    import jinja2
    from jinja2 import compiler, nodes
    from jinja2.parser import Parser


@functools.cache
def environment() -> jinja2.Environment:
    """Return what all templates are parsed and rendered in."""
    try:
        from jinja2 import utils
    except ImportError:
        raise MissingExtraError("Jinja templates", "runtime") from None

    class Namespace(utils.Namespace):
        """A namespace that prints as nothing: what is in it may be in it many times."""

        def __repr__(self) -> str:
            return "<Namespace>"

    found = _counting()(
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,
        optimized=False,
        extensions=[_generation_tag(), "jinja2.ext.loopcontrols"],
    )
    for name in amounts.REFUSED_FILTERS:
        del found.filters[name]
    for name in found.filters.keys() - amounts.FREE_FILTERS:
        found.filters[name] = _taking(name, found.filters[name])
    found.filters |= {"tojson": _tojson, **_OWN}
    del found.globals["lipsum"]
    found.globals |= {"raise_exception": _raise_exception, "namespace": Namespace}
    return found


def _counting() -> type[jinja2.Environment]:  # noqa: C901 - a class
    from jinja2 import sandbox

    class Environment(sandbox.ImmutableSandboxedEnvironment):
        """The sandbox, which also counts what is made in it."""

        code_generator_class = _generator()
        intercepted_binops = frozenset(_OPERATORS)
        printed = staticmethod(_as_text)

        def call_binop(
            self, context: jinja2.runtime.Context, operator: str, left: object, right: object
        ) -> object:
            del context
            return _OPERATORS[operator](left, right)

        def is_safe_attribute(self, obj: object, attr: str, value: object) -> bool:
            if attr in amounts.REFUSED_METHODS and not isinstance(value, str):
                return False
            return super().is_safe_attribute(obj, attr, value)

        def wrap_str_format(self, value: object) -> Callable[..., str] | None:
            wrapped = super().wrap_str_format(value)
            if wrapped is None:
                return None

            def checked(*args: object, **names: object) -> str:
                amounts.fields(value.__self__, *args, **names)  # type: ignore[attr-defined]
                return wrapped(*args, **names)

            return checked

        def call(
            self,
            context: jinja2.runtime.Context,
            obj: Any,  # noqa: ANN401
            /,
            *args: Any,  # noqa: ANN401
            **names: Any,  # noqa: ANN401
        ) -> object:
            owner = getattr(obj, "__self__", None)
            if isinstance(owner, str):
                name = obj.__name__
                if name in amounts.MATERIAL:
                    args = tuple(map(_held, args))
                if name in amounts.METHODS:
                    amounts.METHODS[name](owner, *args, **names)
            value = super().call(context, obj, *args, **names)
            made(value)
            return value

    return Environment


def _generator() -> type[compiler.CodeGenerator]:
    from jinja2 import compiler, nodes

    class Generator(compiler.CodeGenerator):
        """Computes nothing in advance, and has what is printed counted."""

        def _output_child_to_const(
            self,
            node: nodes.Expr,
            frame: compiler.Frame,
            finalize: Any,  # noqa: ANN401
        ) -> str:
            if not isinstance(node, nodes.TemplateData):
                raise nodes.Impossible
            return super()._output_child_to_const(node, frame, finalize)

        def _output_child_pre(self, *_: object) -> None:
            self.write("environment.printed(")

        def _output_child_post(self, *_: object) -> None:
            self.write(")")

    return Generator


def _taking(name: str, function: Callable[..., Any]) -> Callable[..., object]:
    """Return the filter *name*, which takes from the allowance what it makes."""
    before = amounts.FILTERS.get(name)
    at = 1 if hasattr(function, "jinja_pass_arg") else 0

    @functools.wraps(function)
    def filtered(*args: object, **names: object) -> object:
        if name in amounts.MATERIAL:
            args = (*args[:at], *map(_held, args[at:]))
        if before is not None:
            before(*args[at:], **names)
        value = function(*args, **names)
        if isinstance(value, Iterator):
            return amounts.counted(name, value)
        made(value)
        return value

    return filtered


def _as_text(value: object) -> str:
    if value.__class__ is not str:
        told(value)
    return str(value)


def _held(value: object) -> object:
    return list(value) if isinstance(value, Iterator) else value


def _turn(texts: int) -> bool:
    left().spend(texts)
    return True


def _printed(value: object) -> object:
    told(value)
    return value


def _sized(value: object) -> object:
    made(value)
    return value


def _nested(value: object) -> object:
    """Take what a list or a map with others in it would be in print, which bounds its depth."""
    inner = value.values() if isinstance(value, dict) else value
    if any(isinstance(item, list | tuple | dict) for item in inner):  # type: ignore[attr-defined]
        told(value)
    made(value)
    return value


_OPERATORS: Mapping[str, Callable[[object, object], object]] = {
    "*": amounts.product,
    "**": amounts.power,
    "%": amounts.rest,
}
_OWN = {
    ADDED: amounts.added,
    JOINED: amounts.joined,
    NESTED: _nested,
    PRINTED: _printed,
    SIZED: _sized,
    TURN: _turn,
}
"""Filters that no template can name: `bounding` puts them where something is made."""


def _generation_tag() -> type[jinja2.ext.Extension]:
    from jinja2.ext import Extension

    class Generation(Extension):
        """`{% generation %}` marks the model's own words for training; here it is nothing."""

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    Generation.tags = {"generation"}
    return Generation


_JSON = json.JSONEncoder(ensure_ascii=False).encode


def _tojson(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    if value.__class__ is not str:
        amounts.as_json(value, indent)
    if not (ensure_ascii or indent or separators or sort_keys):
        text = _JSON(value)
    else:
        text = json.dumps(
            value,
            ensure_ascii=ensure_ascii,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )
    made(text)
    return text


def _raise_exception(message: object) -> NoReturn:
    from jinja2 import TemplateError as JinjaError

    raise JinjaError(str(message))
