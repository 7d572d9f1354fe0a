"""`modelpack build`."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from modelpack import limits
from modelpack.builder.plan import Cut
from modelpack.cli import _console
from modelpack.cli._options import CaFile, CertFile, Insecure, Json, KeyFile, Quiet, networked
from modelpack.cli._progress import mode_of, progress
from modelpack.errors import InputError, LimitError, NotFoundError
from modelpack.ops.build import BuildOptions, Built, build
from modelpack.sizes import parse_size


def main(
    context: Annotated[
        Path | None,
        typer.Argument(
            metavar="[CONTEXT]", help="Folder that paths are relative to.", show_default=False
        ),
    ] = None,
    file: Annotated[
        str,
        typer.Option("--file", "-f", help="The Modelfile; - reads it from stdin."),
    ] = "",
    tag: Annotated[
        list[str] | None, typer.Option("--tag", "-t", help="Name of the result; repeatable.")
    ] = None,
    layer_size: Annotated[
        str, typer.Option(help="Cut a GGUF larger than this into layers; none keeps it whole.")
    ] = "512MiB",
    layering: Annotated[
        Literal["block", "tensor"] | None,
        typer.Option(help="Cut at blocks, or by tensor role so that related models share layers."),
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Hard-link whole files into the store, if possible.")
    ] = False,
    created: Annotated[
        str, typer.Option(help="Record this time (RFC 3339); default none, or SOURCE_DATE_EPOCH.")
    ] = "",
    digest_file: Annotated[
        Path | None, typer.Option(help="Write the digest of the result to this file.")
    ] = None,
    insecure: Insecure = False,
    ca_file: CaFile = "",
    cert_file: CertFile = "",
    key_file: KeyFile = "",
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Build a model from a Modelfile."""
    source, folder = read_modelfile(file, context)
    options = BuildOptions(
        context=folder,
        tags=tag or (),
        cut=_cut(layer_size, layering),
        link=link,
        created=_checked_time(created),
    )
    opened = networked(insecure=insecure, ca_file=ca_file, cert_file=cert_file, key_file=key_file)
    with progress(mode_of(quiet=quiet, as_json=as_json)) as report:
        built = build(opened, source, options, report)
    for warning in built.warnings:
        _console.warn(warning)
    _show(built, quiet=quiet, as_json=as_json)
    if digest_file is not None:
        _write_digest(digest_file, built)


def _show(built: Built, *, quiet: bool, as_json: bool) -> None:
    manifest = built.manifest
    if as_json:
        _console.json_out(
            {
                "names": [reference.name for reference in built.references],
                "digest": str(manifest.digest),
                "size": manifest.size,
                "layers": [layer.to_json() for layer in manifest.layers],
            }
        )
    elif quiet:
        _console.out(str(manifest.digest))
    else:
        for reference in built.references:
            _console.out(f"{reference.name}  {manifest.digest}")


def _write_digest(path: Path, built: Built) -> None:
    try:
        path.write_text(f"{built.manifest.digest}\n")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}") from None


def read_modelfile(file: str, context: Path | None) -> tuple[bytes, Path]:
    """Return the Modelfile that *file* or the folder *context* names, and what it is relative to.

    Raises:
        NotFoundError: it cannot be read.
        InputError: *context* is no folder.
    """
    if file == "-":
        return _bounded(sys.stdin.buffer.read(limits.MODELFILE + 1)), context or Path()
    path = Path(file) if file else (context or Path()) / "Modelfile"
    try:
        with path.open("rb") as stream:
            source = _bounded(stream.read(limits.MODELFILE + 1))
    except OSError as error:
        raise NotFoundError(
            f"cannot read {path}: {error.strerror}", hint="name the Modelfile with -f"
        ) from None
    folder = context or path.parent
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder")
    return source, folder


def _bounded(source: bytes) -> bytes:
    if len(source) > limits.MODELFILE:
        raise LimitError(f"the Modelfile is larger than {limits.MODELFILE:,} bytes")
    return source


def _cut(layer_size: str, layering: Literal["block", "tensor"] | None) -> Cut:
    if layer_size.strip().lower() == "none":
        if layering is not None:
            raise InputError("--layer-size none and --layering contradict each other")
        return Cut(size=None)
    return Cut(size=parse_size(layer_size), layering=layering)


def _checked_time(text: str) -> str:
    if not text:
        return ""
    import re
    from datetime import datetime

    try:
        datetime.fromisoformat(text)
        fits = re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", text)
    except ValueError:
        fits = None
    if fits is None:
        raise InputError(f"not a time: {text!r}", hint="RFC 3339, such as 2026-01-31T12:00:00Z")
    return text
