"""How each client is told to pull, push and copy, over plain HTTP."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from _model import NAME, TAG, Model
from _registries import PROGRAM

OURS = "modelpack"
LOCAL = "bench:v1"
"""What the model is called in our store."""

Pull = Callable[[str, Path], list[str]]
Push = Callable[[Model, str], list[str]]
Copy = Callable[[str, str], list[str]]

_SKOPEO = ["skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests"]
_SKOPEO += ["--src-tls-verify=false", "--dest-tls-verify=false"]


def _reference(host: str) -> str:
    return f"{host}/{NAME}:{TAG}"


PULLS: Mapping[str, Pull] = {
    OURS: lambda host, _: [PROGRAM, "pull", "-q", _reference(host)],
    "oras cp": lambda host, to: [
        *("oras", "cp", "--no-tty", "--from-plain-http", _reference(host)),
        *("--to-oci-layout", f"{to}:{TAG}"),
    ],
    "oras pull": lambda host, to: [
        *("oras", "pull", "--no-tty", "--plain-http", "-o", str(to), _reference(host))
    ],
    "crane": lambda host, to: [
        *("crane", "pull", "--insecure", "--format=oci", _reference(host), str(to))
    ],
    "skopeo": lambda host, to: [*_SKOPEO, f"docker://{_reference(host)}", f"oci:{to}:{TAG}"],
}
"""Commands that fetch the model from a host into a folder; ours into the store that is set."""

PUSHES: Mapping[str, Push] = {
    OURS: lambda _, host: [PROGRAM, "push", "-q", LOCAL, _reference(host)],
    "oras": lambda model, host: [
        *("oras", "cp", "--no-tty", "--to-plain-http"),
        *("--from-oci-layout", f"{model.layout}:{TAG}", _reference(host)),
    ],
    "crane": lambda model, host: [
        *("crane", "push", "--insecure", str(model.layout), _reference(host))
    ],
    "skopeo": lambda model, host: [
        *(*_SKOPEO, f"oci:{model.layout}:{TAG}", f"docker://{_reference(host)}")
    ],
}
"""Commands that send the model to a host; ours out of the store that is set."""

COPIES: Mapping[str, Copy] = {
    OURS: lambda source, to: [PROGRAM, "copy", "-q", _reference(source), _reference(to)],
    "oras": lambda source, to: [
        *("oras", "cp", "--no-tty", "--from-plain-http", "--to-plain-http"),
        *(_reference(source), _reference(to)),
    ],
    "crane": lambda source, to: ["crane", "copy", "--insecure", _reference(source), _reference(to)],
    "skopeo": lambda source, to: [
        *(*_SKOPEO, f"docker://{_reference(source)}", f"docker://{_reference(to)}")
    ],
}
"""Commands that copy the model from a host to another."""


def clients(without: Collection[str] = ()) -> list[str]:
    """Return the programs that are there, but not those of *without*."""
    programs = dict.fromkeys(program_of(name) for name in (*PULLS, *PUSHES, *COPIES))
    return [
        program
        for program in programs
        if program not in without and (program == OURS or shutil.which(program))
    ]


def program_of(name: str) -> str:
    """Return what the side called *name* runs."""
    return name.partition(" ")[0]


def load(model: Model) -> list[str]:
    """Return the command that brings *model* into our store."""
    return [PROGRAM, "load", "-q", "-t", LOCAL, str(model.layout)]
