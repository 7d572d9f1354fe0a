"""How an answer is to be, out of what was typed for `run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from modelpack import limits
from modelpack.chat import question
from modelpack.cli import _console
from modelpack.errors import InputError
from modelpack.modelfile.parameters import ParameterValue, parse_parameters
from modelpack.template.chat import ChatMessage

_THINK: dict[str, bool | str] = {
    "true": True,
    "false": False,
    "low": "low",
    "medium": "medium",
    "high": "high",
    "max": "max",
}


def asked_with(text: str | None, images: Sequence[Path], *, sees: bool) -> ChatMessage | None:
    """Return the user's turn: *text* with *images* and those it names; None without a text.

    Raises:
        InputError: a picture cannot be read, or there is no text about it.
    """
    if text is None:
        if images:
            raise InputError("--image needs a prompt that asks about it")
        return None
    return question(text, _console.note, sees=sees, images=images)


def parameters_from(said: list[str]) -> dict[str, ParameterValue]:
    """Return the parameters in *said*, each `NAME=VALUE`.

    Raises:
        InputError: it makes no sense.
    """
    pairs: list[tuple[str, str]] = []
    for text in said:
        name, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--parameter {text!r} is not NAME=VALUE", hint="such as seed=1")
        pairs.append((name.strip(), value.strip()))
    return parse_parameters(pairs)


def tools_from(path: str) -> tuple[Mapping[str, object], ...]:
    """Return the tools in the JSON file *path*; none where no path is given.

    Raises:
        InputError: it makes no sense.
    """
    if not path:
        return ()
    try:
        value = json.loads(Path(path).read_bytes()[: limits.TEXT_LAYER])
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON") from None
    tools = value if isinstance(value, list) else [value]
    if not all(isinstance(tool, dict) and "function" in tool for tool in tools):
        raise InputError(
            f"{path} holds no tools",
            hint='a list of {"type": "function", "function": {"name": …, "parameters": …}}',
        )
    return tuple(tools)


def format_from(said: str) -> str | dict[str, object] | None:
    """Return what `--format` asks for: JSON of any kind, or a schema, also out of a file."""
    if not said or said == "json":
        return said or None
    if not said.lstrip().startswith("{"):
        try:
            said = Path(said).read_text("utf-8")
        except (OSError, ValueError):
            raise InputError(
                f"--format {said[:80]!r} is neither json nor a JSON schema, nor a file with one"
            ) from None
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise InputError("--format is no JSON schema: it must be a JSON object")
    return value


def think_from(said: str) -> bool | str | None:
    """Return whether the model shall think; None where nothing is *said*.

    Raises:
        InputError: it makes no sense.
    """
    if not said:
        return None
    if said not in _THINK:
        raise InputError(f"--think {said[:80]!r} is not one of {', '.join(_THINK)}")
    return _THINK[said]
