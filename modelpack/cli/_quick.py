"""The plain command lines of `push`, `pull` and `copy`, understood without Typer.

Only what Typer would understand in just the same way; all the rest (help, mistakes, the ways to
write an option that few use) is left to it.
"""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Callable, Mapping, Sequence
from errno import EPIPE
from typing import NamedTuple

_INTERRUPTED = 130
_CONCURRENCY = range(1, 65)
_FLAGS = {"--insecure": "insecure", "--json": "as_json", "--quiet": "quiet", "-q": "quiet"}
_VALUES = {
    "--ca-file": "ca_file",
    "--cert-file": "cert_file",
    "--key-file": "key_file",
    "--limit-rate": "limit_rate",
    "--concurrency": "concurrency",
}
_ARGUMENTS = {
    "pull": (("model",), 1),
    "push": (("model", "destination"), 1),
    "copy": (("source", "destination"), 2),
}
"""What the arguments of a command are called, and how many there must be."""


class Wanted(NamedTuple):
    """A command, and what its function is given."""

    command: str
    given: Mapping[str, object]

    def run(self) -> None:
        """Run it."""
        gc.disable()  # nothing that is loaded can be thrown away
        from modelpack.cli import _moves

        importlib.import_module(f"modelpack.ops.{self.command}")
        importlib.import_module("modelpack.registry.referrers")
        gc.freeze()
        gc.enable()
        command: Callable[..., None] = getattr(_moves, self.command)
        try:
            command(**self.given)
        except KeyboardInterrupt:
            sys.exit(_INTERRUPTED)
        except OSError as error:
            if error.errno != EPIPE:
                raise
            sys.exit(1)  # whoever read what we print has left


def parse(words: Sequence[str]) -> Wanted | None:
    """Return what the command line *words* wants, or None where that is for Typer to say."""
    if not words or words[0] not in _ARGUMENTS:
        return None
    names, needed = _ARGUMENTS[words[0]]
    flags = _FLAGS | {"--verify": "verify"} if words[0] == "pull" else _FLAGS
    given: dict[str, object] = {}
    arguments = []
    left = iter(words[1:])
    for word in left:
        if word in flags:
            given[flags[word]] = True
        elif word in _VALUES:
            value = next(left, "")
            if not value or value.startswith("-"):
                return None
            given[_VALUES[word]] = value
        elif not word or word.startswith("-"):
            return None
        else:
            arguments.append(word)
    if not needed <= len(arguments) <= len(names):
        return None
    if "concurrency" in given:
        said = str(given["concurrency"])
        if not (said.isascii() and said.isdigit() and len(said) < 4 and int(said) in _CONCURRENCY):
            return None
        given["concurrency"] = int(said)
    return Wanted(words[0], given | dict(zip(names, arguments, strict=False)))
