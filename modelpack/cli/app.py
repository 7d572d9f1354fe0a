"""`modelpack`: knows the commands, loads only the one that is asked for, and shows errors."""

import importlib
from typing import Annotated

import typer
from typer.core import TyperGroup

from modelpack import __version__
from modelpack.cli._leaving import guarded

COMMANDS = {
    "build": "Build a model from a Modelfile.",
    "run": "Run a model: answer a prompt, or talk to it.",
    "serve": "Serve models: Ollama's, OpenAI's and Anthropic's APIs.",
    "ps": "List the models that the server has loaded.",
    "stop": "Have the server unload a model.",
    "create": "Build a model where the server has its models.",
    "push": "Send a model to a registry.",
    "pull": "Fetch a model from a registry.",
    "list": "List the models in the store.",
    "show": "Show what is known about a model.",
    "cp": "Give a model a second name.",
    "rm": "Remove models.",
    "du": "Show what models cost on the disk.",
    "prune": "Remove what no model needs.",
    "fsck": "Check the store, and repair it from registries.",
    "export": "Write the GGUF that a model was built from.",
    "save": "Write models to a folder or tar in OCI image layout.",
    "load": "Fetch models from a folder or tar in OCI image layout.",
    "copy": "Copy a model from one registry to another, with its signatures.",
    "login": "Log in to a registry.",
    "logout": "Forget the password of a registry.",
    "registry": "Run the embedded registry.",
    "keys": "Make and remove API keys of the model server.",
    "service": "Run the model server as a service of systemd.",
    "doctor": "Look at this machine and the store, and say what could be better.",
    "bench": "Measure how fast a model reads and writes.",
}
"""Every command with its line of help; each is the function `main` of a module of its own."""

ALIASES = {"ls": "list", "remove": "rm"}
_MODULES = {"list": "listing"}


class LazyGroup(TyperGroup):
    """Imports a command's module when that command is used."""

    def list_commands(self, ctx):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Return the names of the commands, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx, cmd_name):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Return the command *cmd_name*, or None if there is none."""
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"modelpack.cli.{_MODULES.get(name, name)}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(add_completion=False, rich_markup_mode=None)
            app.command(name, help=module.main.__doc__)(module.main)
        command = typer.main.get_command(app)
        command.name = name
        return command

    def format_commands(self, ctx, formatter):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Write the table of commands without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _version(value: bool) -> None:
    if value:
        typer.echo(f"modelpack {__version__}")
        raise typer.Exit


def _root(
    _show_version: Annotated[
        bool,
        typer.Option("--version", "-v", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Package GGUF models as OCI artifacts, move them to and from any registry, and run them.

    Exit codes: 2 bad input, 3 not found, 4 damaged bytes, 5 registry, 7 engine, 8 store,
    9 something is not installed.
    """


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.callback()(_root)


def main() -> None:
    """Run the command line; every error of ours becomes a line or two and an exit code."""
    guarded(app)
