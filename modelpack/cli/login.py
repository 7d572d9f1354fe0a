"""`modelpack login`."""

import sys
from typing import Annotated

import typer

from modelpack import limits
from modelpack.cli import _console
from modelpack.cli._options import CaFile, CertFile, Insecure, KeyFile, networked, piped_text
from modelpack.errors import InputError
from modelpack.ops.login import login


def main(
    registry: Annotated[str, typer.Argument(help="HOST[:PORT]")],
    username: Annotated[str, typer.Option("--username", "-u", help="The user name.")] = "",
    password: Annotated[
        str, typer.Option("--password", "-p", help="The password; better use --password-stdin.")
    ] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from stdin.")
    ] = False,
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
) -> None:
    """Log in to a registry."""
    if password_stdin:
        if not username:
            raise InputError("--password-stdin needs --username")
        password = piped_text(limits.ERROR_BODY).rstrip("\r\n")
    elif password:
        _console.warn("--password is visible to others on this machine; use --password-stdin")
    elif sys.stdin.isatty():
        username = username or typer.prompt("Username")
        password = typer.prompt("Password", hide_input=True)
    if not username or not password:
        raise InputError("no user name or no password", hint="--username and --password-stdin")
    place = login(
        networked(insecure=insecure, ca_file=ca_file, cert_file=cert_file, key_file=key_file),
        registry,
        username,
        password,
    )
    _console.note(f"The password is kept in {place}")
    _console.out("Login Succeeded")
