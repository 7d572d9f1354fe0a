"""`modelpack run`."""

import sys
from typing import Annotated

import typer

from modelpack import chat, limits
from modelpack.cli import _console
from modelpack.cli._options import CaFile, CertFile, Insecure, KeyFile, networked, piped_text
from modelpack.cli._progress import progress
from modelpack.cli.show import field
from modelpack.ops.context import Context
from modelpack.ops.models import Description, describe
from modelpack.ops.run import load_model, stored_model


def main(
    model: Annotated[str, typer.Argument(help="The model; fetched if it is not in the store.")],
    prompt: Annotated[
        list[str] | None, typer.Argument(help="What to ask; without it, a session begins.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show durations and tokens per second.")
    ] = False,
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
) -> None:
    """Run a model: answer a prompt, or talk to it."""
    context = networked(insecure=insecure, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    with progress("auto") as report:
        stored = stored_model(context, model, report)
    text = _prompt(prompt or [])
    interactive = text is None
    with load_model(stored) as loaded:
        if interactive:
            _talk(context, loaded, describe(context, model), verbose=verbose)
            return
        finished = chat.answer(loaded, text or "", _write)
    if verbose:
        _console.note("\n".join(chat.format_statistics(finished)))
    if finished.reason == "cancelled":
        raise typer.Exit(130)


def _talk(
    context: Context, loaded: chat.ChatModel, description: Description, *, verbose: bool
) -> None:
    history = None if context.settings.no_history else context.settings.history
    chat.interactive(
        loaded, _Shown(description), input, _write, history_path=history, verbose=verbose
    )


class _Shown:
    """What `/show` tells: the same as `modelpack show`."""

    def __init__(self, description: Description) -> None:
        self._description = description

    def show(self, name: str) -> str:
        return field(self._description, name)


def _prompt(words: list[str]) -> str | None:
    """Return what was piped in and then what was typed; None asks for a session."""
    parts = [] if sys.stdin.isatty() else [piped_text(limits.TEXT_LAYER).strip()]
    parts.append(" ".join(words).strip())
    text = "\n".join(part for part in parts if part)
    return text if text or not sys.stdin.isatty() else None


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
