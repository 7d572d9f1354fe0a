"""What `/api/show` tells of a model. Reads files: not for the event loop."""

from __future__ import annotations

from collections.abc import Sequence

from modelpack.errors import NotFoundError
from modelpack.formats.artifact import Role
from modelpack.gguf.reader import Header, read_header
from modelpack.gguf.summary import summarize
from modelpack.gguf.values import ValueType
from modelpack.ops.context import Context
from modelpack.ops.model import StoredModel
from modelpack.ops.models import capabilities_of, modelfile_of, parameter_lines
from modelpack.server.daemon.answers import rfc3339
from modelpack.server.daemon.catalog import details_of

_ELEMENTS = 1_024
"""Elements of an array that are told without being asked for all."""
_SPLIT = "split."


def show(context: Context, name: str, *, verbose: bool) -> dict[str, object]:
    """Return all that is known of the model *name*; with *verbose* also long arrays and tensors.

    Raises:
        NotFoundError: it is not in the store, or has no weights.
    """
    entry = context.find(name)
    stored = StoredModel(context.store, entry.reference, entry.manifest)
    headers = stored.headers()
    if not headers:
        raise NotFoundError(f"{stored.name} has no weights")
    template = stored.text(Role.TEMPLATE)
    said: dict[str, object] = {
        "license": "\n".join(stored.licenses()),
        "modelfile": modelfile_of(stored),
        "parameters": "\n".join(parameter_lines(stored.parameters())),
        "template": template or headers[0].text("tokenizer.chat_template") or "",
        "system": stored.text(Role.SYSTEM) or "",
        "details": {**details_of(stored), **_lengths(headers)},
        "messages": [{"role": m.role, "content": m.content} for m in stored.messages()],
        "model_info": _info(headers, verbose=verbose),
        "capabilities": list(capabilities_of(stored)),
        "modified_at": rfc3339(int(entry.modified * 1e9)),
    }
    projectors = stored.files(Role.PROJECTOR)
    if projectors:
        said["projector_info"] = _info([read_header(path) for path in projectors], verbose=verbose)
    if verbose:
        said["tensors"] = [
            {"name": tensor.name, "type": tensor.type_name, "shape": list(tensor.shape)}
            for header in headers
            for tensor in header.tensors
        ]
    said |= stored.settings()
    return {key: value for key, value in said.items() if value or key in _ALWAYS}


_ALWAYS = ("license", "modelfile", "parameters", "template", "details", "model_info",
           "capabilities", "modified_at", "tensors")  # fmt: skip


def _lengths(headers: Sequence[Header]) -> dict[str, object]:
    summary = summarize(headers)
    return {
        "context_length": summary.context_length,
        "embedding_length": summary.embedding_length,
    }


def _info(headers: Sequence[Header], *, verbose: bool) -> dict[str, object]:
    """Return the metadata of a GGUF as JSON can say it."""
    header, summary = headers[0], summarize(headers)
    found: dict[str, object] = {}
    for key, field in sorted(header.fields.items()):
        if key.startswith(_SPLIT):
            continue
        if field.type is ValueType.ARRAY and field.count > _ELEMENTS and not verbose:
            found[key] = None
            continue
        value = header.value(key)
        found[key] = _plain(value.value) if value is not None else None
    found["general.parameter_count"] = summary.parameters
    return found


def _plain(value: object) -> object:
    if (isinstance(value, float) and value != value) or value in (float("inf"), float("-inf")):
        return None
    return list(value) if isinstance(value, tuple) else value
