"""`modelpack registry`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelpack.cli import _console
from modelpack.cli._options import PlainJson
from modelpack.errors import InputError
from modelpack.sizes import parse_duration

if TYPE_CHECKING:
    from modelpack.server.registry import Collected

_SHORTEST_S = 1.0

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Run the embedded registry.",
)


@app.callback()
def main() -> None:
    """Run the embedded registry."""


@app.command()
def serve(
    listen: Annotated[str, typer.Option(help="HOST:PORT to listen on.")] = "127.0.0.1:5000",
    root: Annotated[Path, typer.Option(help="Folder of the registry.")] = Path("registry"),
    htpasswd: Annotated[
        Path | None, typer.Option(help="File of users (bcrypt); without it, everybody may write.")
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="Certificate chain (PEM).")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="Key of the certificate (PEM).")] = None,
    gc_every: Annotated[
        str,
        typer.Option(metavar="TIME", help="Collect what nobody needs so often, such as 24h."),
    ] = "",
) -> None:
    """Serve the OCI distribution API over a folder until interrupted."""
    from modelpack.server.registry import RegistrySettings
    from modelpack.server.registry import serve as run

    every = parse_duration(gc_every) if gc_every else 0.0
    if gc_every and every < _SHORTEST_S:
        raise InputError(f"--gc-every {gc_every} is less than a second")
    settings = RegistrySettings(
        root=root,
        listen=listen,
        htpasswd=htpasswd,
        tls_cert=tls_cert,
        tls_key=tls_key,
        gc_every_s=every,
    )
    run(settings, lambda url: _console.note(f"registry of {root} is at {url}"))


@app.command()
def gc(
    root: Annotated[Path, typer.Option(help="Folder of the registry.")] = Path("registry"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    untagged: Annotated[
        bool,
        typer.Option("--untagged", help="Manifests without a tag, an index or a subject go, too."),
    ] = False,
    older_than: Annotated[
        str, typer.Option(metavar="TIME", help="What came less long ago stays.")
    ] = "24h",
    as_json: PlainJson = False,
) -> None:
    """Remove what no manifest needs from the folder of a registry that does not run."""
    from modelpack.server.registry import collect_garbage

    collected = collect_garbage(
        root, older_than_s=parse_duration(older_than), untagged=untagged, dry_run=dry_run
    )
    for name, why in collected.skipped.items():
        _console.warn(f"nothing of {name} is removed: {why}")
    if as_json:
        _console.json_out(_as_json(collected, root, dry_run=dry_run))
        return
    word = "would remove" if dry_run else "removed"
    for name, digest in collected.manifests:
        _console.out(f"{word} manifest {name}@{digest}")
    for name, digest in collected.blobs:
        whose = f"{name}@{digest}" if name else f"{digest}, which no repository has"
        _console.out(f"{word} blob {whose}")
    for path, size in collected.unfinished.items():
        place = _console.printable(str(path.relative_to(root)))
        _console.out(f"{word} unfinished {place} ({_console.format_size(size)})")
    _console.note(f"{'would free' if dry_run else 'freed'} {_console.format_size(collected.freed)}")


def _as_json(collected: "Collected", root: Path, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "freed": collected.freed,
        "manifests": [{"repository": n, "digest": str(d)} for n, d in collected.manifests],
        "blobs": [{"repository": n, "digest": str(d)} for n, d in collected.blobs],
        "contents": [{"digest": str(d), "size": n} for d, n in collected.contents.items()],
        "unfinished": [
            {"path": _console.printable(str(path.relative_to(root))), "size": size}
            for path, size in collected.unfinished.items()
        ],
        "skipped": [{"repository": n, "why": why} for n, why in collected.skipped.items()],
    }
