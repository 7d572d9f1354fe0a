"""Lines that begin with a slash: settings and information, in Ollama's words.

Each command takes its words and changes the session, or the model in use; reading lines is left
to `modelpack.chat.repl`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from modelpack.chat.pictures import ENDINGS
from modelpack.chat.saving import modelfile_of
from modelpack.errors import ModelPackError, NotFoundError
from modelpack.modelfile.parameters import parse_parameter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from modelpack.chat.models import ModelDescription, Models
    from modelpack.chat.session import Session
    from modelpack.modelfile import Message

    Write = Callable[[str], None]
    Setter = Callable[[Session, Sequence[str]], str]

EXIT = frozenset(("/bye", "/exit"))
"""Commands that end the session."""

FIELDS = {
    "info": "Show details for this model",
    "license": "Show model license",
    "modelfile": "Show Modelfile for this model",
    "parameters": "Show parameters for this model",
    "system": "Show system message",
    "template": "Show prompt template",
}
"""What `/show` can show."""

_COMMANDS = {
    "/set": "Set session variables",
    "/show": "Show model information",
    "/load <model>": "Load a session or model",
    "/save <model>": "Save your current session",
    "/list [prefix]": "List models",
    "/clear": "Clear session context",
    "/bye": "Exit",
    "/?, /help": "Help for a command",
    "/? shortcuts": "Help for keyboard shortcuts",
}
_SETTINGS = {
    "/set parameter <name> <value>": "Set a parameter",
    "/set system <string>": "Set system message",
    "/set history": "Enable history",
    "/set nohistory": "Disable history",
    "/set wordwrap": "Enable wordwrap",
    "/set nowordwrap": "Disable wordwrap",
    "/set format json": "Enable JSON mode",
    "/set noformat": "Disable formatting",
    "/set think [level]": "Enable thinking",
    "/set nothink": "Disable thinking",
    "/set verbose": "Show LLM stats",
    "/set quiet": "Disable LLM stats",
}
_SHORTCUTS = {
    "Ctrl + a": "Move to the beginning of the line (Home)",
    "Ctrl + e": "Move to the end of the line (End)",
    "Alt + b": "Move back (left) one word",
    "Alt + f": "Move forward (right) one word",
    "Ctrl + k": "Delete the sentence after the cursor",
    "Ctrl + u": "Delete the sentence before the cursor",
    "Ctrl + w": "Delete the word before the cursor",
    "Ctrl + l": "Clear the screen",
    "Ctrl + c": "Stop the model from responding",
    "Ctrl + d": "Exit modelpack (/bye)",
}
_MULTILINE = 'Use """ to begin a multi-line message.\n'
_PICTURES = "Use /path/to/file to include .jpg or .png images.\n"
_NAMED = 2
"""Words of a command with the name of a model."""


def is_command(line: str) -> bool:
    """Tell whether *line* is a command; a path such as `/tmp/cat` or `/cat.png` is not."""
    first = line.split(maxsplit=1)[0] if line.strip() else ""
    return first.startswith("/") and "/" not in first[1:] and not first.lower().endswith(ENDINGS)


def obey(line: str, session: Session, models: Models, write: Write) -> None:
    """Carry out the command in *line* and write what there is to say, line ends included.

    Raises:
        ModelPackError: a model cannot be loaded, saved or listed.
    """
    words = line.split()
    if words[0] == "/load":
        _load(words, session, models, write)
    else:
        write(_say(line, words, session, models))


def opening_text(opening: Sequence[Message]) -> str:
    """Return what a model's conversations begin with, as if it had been typed and answered."""
    texts = {"user": ">>> {}\n", "assistant": "{}\n\n"}
    return "".join(texts.get(turn.role, "").format(turn.content) for turn in opening)


def _say(line: str, words: Sequence[str], session: Session, models: Models) -> str:
    if words[0] == "/set":
        return _set(line, words, session)
    if words[0] == "/show":
        return _show(words, session, models.partner.description)
    if words[0] == "/save":
        return _save(words, session, models)
    if words[0] == "/list":
        return models.list(words[1] if len(words) > 1 else "")
    if words[0] == "/clear":
        session.clear()
        return "Cleared session context\n"
    if words[0] in ("/help", "/?"):
        sees = models.partner.sees
        return _help(words[1].lstrip("/") if len(words) > 1 else "", sees=sees)
    return _unknown(words[0])


def _load(words: Sequence[str], session: Session, models: Models, write: Write) -> None:
    if len(words) != _NAMED:
        write("Usage: /load <model>\n")
        return
    name = words[1]
    write(f"Loading model '{name}'\n")
    try:
        models.load(name, session.options)
    except NotFoundError:
        write(f"Couldn't find model '{name}'\n")
        return
    session.clear()
    session.system = None
    write(opening_text(models.partner.opening))


def _save(words: Sequence[str], session: Session, models: Models) -> str:
    if len(words) != _NAMED:
        return "Usage: /save <model>\n"
    models.save(words[1], modelfile_of(session, models.partner))
    return f"Created new model '{words[1]}'\n"


def _unknown(command: str) -> str:
    return f"Unknown command '{command}'. Type /? for help\n"


def _help(topic: str, *, sees: bool) -> str:
    if topic in ("set", "show"):
        return _set_help() if topic == "set" else _show_help()
    if topic in ("shortcut", "shortcuts"):
        return _table("Available keyboard shortcuts:", _SHORTCUTS)
    return _table("Available Commands:", _COMMANDS) + _MULTILINE + (_PICTURES if sees else "")


def _set_help() -> str:
    return _table("Available Commands:", _SETTINGS)


def _show_help() -> str:
    return _table("Available Commands:", {f"/show {name}": text for name, text in FIELDS.items()})


def _table(title: str, rows: dict[str, str]) -> str:
    width = max(map(len, rows))
    lines = (f"  {name:<{width}}   {text}\n" for name, text in rows.items())
    return f"{title}\n{''.join(lines)}\n"


def _set(line: str, words: Sequence[str], session: Session) -> str:
    if len(words) == 1:
        return _set_help()
    setter = _SETTERS.get(words[1])
    if setter is None:
        return _unknown(" ".join(words[:2]))
    if words[1] == "system":
        return _set_system(session, line.split(maxsplit=2)[2:])
    return setter(session, words[2:])


def _set_parameter(session: Session, words: Sequence[str]) -> str:
    if len(words) < 2:  # a name and at least one value
        return "Usage: /set parameter <name> <value>\n"
    name, *values = words
    try:
        parsed = [parse_parameter(name, value) for value in values]
    except ModelPackError as error:
        return f"Couldn't set parameter: {error}\n"
    lists = [value for value in parsed if isinstance(value, list)]
    session.set_option(name, [text for part in lists for text in part] if lists else parsed[0])
    return f"Set parameter '{name}' to '{', '.join(values)}'\n"


def _set_system(session: Session, words: Sequence[str]) -> str:
    text = words[0].strip().strip('"') if words else ""
    if not text:
        return "Usage: /set system <string>\n"
    session.system = text
    return "Set system message.\n"


def _set_history(session: Session, _words: Sequence[str]) -> str:
    session.keeps_history = True
    return ""


def _set_nohistory(session: Session, _words: Sequence[str]) -> str:
    session.keeps_history = False
    return ""


def _set_verbose(session: Session, _words: Sequence[str]) -> str:
    session.verbose = True
    return "Set 'verbose' mode.\n"


def _set_quiet(session: Session, _words: Sequence[str]) -> str:
    session.verbose = False
    return "Set 'quiet' mode.\n"


def _set_format(session: Session, words: Sequence[str]) -> str:
    if list(words) != ["json"]:
        return "Usage: /set format json\n"
    session.manner = replace(session.manner, format="json")
    return "Set format to 'json' mode.\n"


def _set_noformat(session: Session, _words: Sequence[str]) -> str:
    session.manner = replace(session.manner, format=None)
    return "Disabled format.\n"


def _set_think(session: Session, words: Sequence[str]) -> str:
    session.manner = replace(session.manner, think=words[0] if words else True)
    level = f" to '{words[0]}'" if words else ""
    return f"Set 'think' mode{level}.\n"


def _set_nothink(session: Session, _words: Sequence[str]) -> str:
    session.manner = replace(session.manner, think=False)
    return "Set 'nothink' mode.\n"


def _set_wrapping(_session: Session, _words: Sequence[str]) -> str:
    return "Long lines are left to the terminal.\n"


_SETTERS: dict[str, Setter] = {
    "parameter": _set_parameter,
    "system": _set_system,
    "history": _set_history,
    "nohistory": _set_nohistory,
    "format": _set_format,
    "noformat": _set_noformat,
    "think": _set_think,
    "nothink": _set_nothink,
    "verbose": _set_verbose,
    "quiet": _set_quiet,
    "wordwrap": _set_wrapping,
    "nowordwrap": _set_wrapping,
}


def _show(words: Sequence[str], session: Session, description: ModelDescription) -> str:
    name = words[1] if len(words) > 1 else ""
    if name not in FIELDS:
        return _show_help() if not name else _unknown(f"/show {name}")
    text = description.show(name)
    if name == "system" and session.system is not None:
        text = session.system
    if name == "parameters" and session.options:
        return _shown(text) + _table("User defined parameters:", _written(session))
    return _shown(text) if text.strip() else f"No {name} was specified for this model.\n"


def _shown(text: str) -> str:
    return text.rstrip("\n") + "\n\n" if text.strip() else ""


def _written(session: Session) -> dict[str, str]:
    return {name: str(value) for name, value in session.options.items()}
