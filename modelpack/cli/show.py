"""`modelpack show`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from modelpack.cli import _console, _remote
from modelpack.cli._options import PlainJson
from modelpack.cli._server import elsewhere
from modelpack.errors import InputError
from modelpack.ops.context import Context
from modelpack.ops.models import Description, describe, parameter_lines, parameter_rows

_SHOWN_LINES = 2


def main(
    model: Annotated[str, typer.Argument(help="The local model.")],
    modelfile: Annotated[bool, typer.Option("--modelfile", help="Only the Modelfile.")] = False,
    parameters: Annotated[bool, typer.Option("--parameters", help="Only the parameters.")] = False,
    template: Annotated[bool, typer.Option("--template", help="Only the template.")] = False,
    system: Annotated[bool, typer.Option("--system", help="Only the system prompt.")] = False,
    show_license: Annotated[bool, typer.Option("--license", help="Only the licences.")] = False,
    as_json: PlainJson = False,
) -> None:
    """Show what is known about a model."""
    wanted = {
        "--modelfile": modelfile,
        "--parameters": parameters,
        "--template": template,
        "--system": system,
        "--license": show_license,
        "--json": as_json,
    }
    said = [flag for flag, given in wanted.items() if given]
    if len(said) > 1:
        raise InputError(f"only one of {', '.join(wanted)} can be specified")
    context = Context.create()
    server = elsewhere(context)
    description = describe(context, model) if server is None else _remote.describe(server, model)
    if as_json:
        _console.json_out(_as_json(description))
    elif said:
        _console.out(field(description, said[0].removeprefix("--")))
    else:
        _console.out("\n".join(_blocks(description)))


def field(description: Description, name: str) -> str:
    """Return the text of one field, as `--NAME` prints it."""
    texts = {
        "modelfile": description.modelfile,
        "parameters": "\n".join(parameter_lines(description.parameters)),
        "template": description.template,
        "system": description.system,
        "license": "\n\n".join(description.licenses),
        "info": "\n".join(_blocks(description)),
    }
    return texts[name].rstrip("\n")


def _blocks(description: Description) -> list[str]:
    summary = description.summary
    lines = _block(
        "Model",
        [
            ("architecture", summary.architecture),
            ("parameters", summary.parameter_size),
            ("context length", str(summary.context_length or "")),
            ("embedding length", str(summary.embedding_length or "")),
            ("quantization", summary.quantization),
            ("requires", str(description.settings.get("requires", ""))),
        ],
    )
    lines += _block("Capabilities", [(name, " ") for name in description.capabilities])
    if description.projector:
        lines += _block(
            "Projector",
            [
                ("architecture", description.projector.architecture),
                ("parameters", description.projector.parameter_size),
            ],
        )
    lines += _block("Parameters", parameter_rows(description.parameters))
    lines += _text_block("System", description.system)
    for text in description.licenses:
        lines += _text_block("License", text)
    lines += _block("Labels", sorted(description.labels.items()))
    lines += _block(
        "Layers",
        [
            (path, f"{_console.format_size(size):<8}  {digest.removeprefix('sha256:')[:12]}")
            for _role, path, digest, size in description.layers
        ],
    )
    return lines[:-1]


def _block(title: str, rows: Sequence[tuple[str, str]]) -> list[str]:
    kept = [(name, value) for name, value in rows if value]
    if not kept:
        return []
    width = max(len(name) for name, _ in kept)
    lines = [f"    {name.ljust(width)}    {value}".rstrip() for name, value in kept]
    return [f"  {title}", *lines, ""]


def _text_block(title: str, text: str) -> list[str]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return []
    more = ["..."] if len(lines) > _SHOWN_LINES else []
    return [f"  {title}", *(f"    {line}" for line in lines[:_SHOWN_LINES] + more), ""]


def _as_json(description: Description) -> dict[str, object]:
    summary = description.summary
    return {
        "name": description.name,
        "digest": description.digest,
        "size": description.size,
        "details": {
            "format": description.format,
            "family": summary.architecture,
            "parameter_size": summary.parameter_size,
            "parameter_count": summary.parameters,
            "quantization_level": summary.quantization,
            "context_length": summary.context_length,
            "embedding_length": summary.embedding_length,
        },
        "capabilities": list(description.capabilities),
        "parameters": description.parameters,
        "template": description.template,
        "system": description.system,
        "messages": [{"role": role, "content": text} for role, text in description.messages],
        "license": list(description.licenses),
        "settings": description.settings,
        "labels": description.labels,
        "layers": [
            {"role": role, "path": path, "digest": digest, "size": size}
            for role, path, digest, size in description.layers
        ],
        "modelfile": description.modelfile,
    }
