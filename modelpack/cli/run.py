"""`modelpack run`."""

import struct
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Annotated

import typer

from modelpack import chat, limits
from modelpack.cli import _console
from modelpack.cli._manner import asked_with, format_from, parameters_from, think_from, tools_from
from modelpack.cli._options import CaFile, CertFile, Insecure, KeyFile, networked, piped_text
from modelpack.cli._progress import progress
from modelpack.cli._running import Found, find
from modelpack.cli._talking import Talk
from modelpack.engine.base import Finished
from modelpack.errors import InputError
from modelpack.ops.context import Context
from modelpack.runtime.embedded import require
from modelpack.template.chat import ChatMessage

_Format = Annotated[
    str, typer.Option("--format", metavar="json|SCHEMA", help="What the answer must be.")
]
_Tools = Annotated[
    str, typer.Option("--tools", metavar="FILE", help="JSON schemas of what it may call.")
]
_Images = Annotated[
    list[Path] | None,
    typer.Option("--image", metavar="FILE", help="A picture to look at; may be repeated."),
]
_Think = Annotated[
    str, typer.Option("--think", metavar="true|false|LEVEL", help="Whether it shall think.")
]
_Dimensions = Annotated[
    int, typer.Option("--dimensions", min=0, help="Numbers of a vector; 0 for all.")
]
_Truncate = Annotated[
    bool, typer.Option("--truncate/--no-truncate", help="Cut a text that is too long for a vector.")
]


def main(
    model: Annotated[str, typer.Argument(help="The model; fetched if it is not in the store.")],
    prompt: Annotated[
        list[str] | None, typer.Argument(help="What to ask; without it, a session begins.")
    ] = None,
    system: Annotated[
        str, typer.Option("--system", help="A system prompt instead of the model's own.")
    ] = "",
    parameter: Annotated[
        list[str] | None,
        typer.Option("--parameter", "-p", metavar="NAME=VALUE", help="Such as seed=1."),
    ] = None,
    format: _Format = "",
    tools: _Tools = "",
    image: _Images = None,
    think: _Think = "",
    hide_thinking: Annotated[
        bool, typer.Option("--hidethinking", help="Do not show what it thinks.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show durations and tokens per second.")
    ] = False,
    dimensions: _Dimensions = 0,
    truncate: _Truncate = True,
    keep_alive: Annotated[
        str,
        typer.Option("--keepalive", metavar="TIME", help="How long a server keeps it, such as 5m."),
    ] = "",
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
) -> None:
    """Run a model: answer a prompt, or talk to it.

    A server that runs is asked, else the model is loaded for this command. A model for embeddings
    prints the vector of the prompt, a JSON array.
    """
    manner = chat.Manner(
        options=parameters_from(parameter or []),
        tools=tools_from(tools),
        think=think_from(think),
        format=format_from(format),
        hides_thinking=hide_thinking,
    )
    context = networked(insecure=insecure, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    with progress("auto") as report:
        found = find(context, model, report, keep_alive)
    text = _prompt(prompt or [])
    if found.purpose != "text":
        require("vectors", found.purpose, found.name)
        _print_vector(found, manner, text, truncate=truncate, dimensions=dimensions)
        return
    session = chat.Session(system=system or None, verbose=verbose, manner=manner)
    asked = asked_with(text, image or [], sees=found.sees)
    if asked is None:
        _talk(context, found, session, keep_alive)
    else:
        _answer(found, session, asked)


def _talk(context: Context, found: Found, session: chat.Session, keep_alive: str) -> None:
    path = None if context.settings.no_history else context.settings.history
    session.options.update(session.manner.options)
    with closing(Talk(context, found, session.options, keep_alive)) as models:
        chat.interactive(models, input, _write, history_path=path, session=session)


def _answer(found: Found, session: chat.Session, asked: ChatMessage) -> None:
    with ExitStack() as held:
        loaded = found.load(held, session.manner.options)
        finished = _ask(loaded, session.system or "", asked, session.manner)
    if forgotten := chat.format_forgotten(finished):
        _console.warn(forgotten)
    if session.verbose:
        _console.note("\n".join(chat.format_statistics(finished)))
    if finished.reason == "cancelled":
        raise typer.Exit(130)


def _ask(loaded: chat.ChatModel, system: str, asked: ChatMessage, manner: chat.Manner) -> Finished:
    messages = [ChatMessage(role="system", content=system)] if system else []
    messages.append(asked)
    return chat.answer(loaded, messages, _write, manner).finished


def _print_vector(
    found: Found, manner: chat.Manner, text: str | None, *, truncate: bool, dimensions: int
) -> None:
    if not text:
        raise InputError(
            f"the model {found.name} is for embeddings and needs a text",
            hint=f'modelpack run {found.name} "A text"',
        )
    (vector,) = found.embed([text], manner.options, truncate, dimensions)
    _write(f"[{','.join(map(_digits, vector))}]\n")


def _digits(number: float) -> str:
    """Write *number*, which has 32 bits, with as few digits as it takes."""
    texts = (f"{number:.{digits}g}" for digits in (6, 7, 8))
    exact = (text for text in texts if struct.pack("f", float(text)) == struct.pack("f", number))
    return next(exact, f"{number:.9g}")


def _prompt(words: list[str]) -> str | None:
    """Return what was piped in and then what was typed; None asks for a session."""
    parts = [] if sys.stdin.isatty() else [piped_text(limits.TEXT_LAYER).strip()]
    parts.append(" ".join(words).strip())
    text = "\n".join(part for part in parts if part)
    return text if text or not sys.stdin.isatty() else None


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
