"""From a Modelfile here to a model there: files are sent as blobs, the rest is said."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from modelpack import limits
from modelpack.builder.plan import travelling_path
from modelpack.builder.sources import existing, locate, read_gguf_files
from modelpack.client.http import Client
from modelpack.client.models import create
from modelpack.formats.artifact import SETTINGS
from modelpack.modelfile import Modelfile, check, parse
from modelpack.progress import Event, Report, silent


def create_from(client: Client, name: str, source: bytes, folder: Path, report: Report) -> None:
    """Have the server build the Modelfile *source* of *folder* as *name*.

    Raises:
        ModelfileError: the Modelfile is wrong.
        NotFoundError: a file that it names is not there.
        ServerError: the server cannot be reached, or failed.
    """
    modelfile = parse(source)
    body: dict[str, object] = {}
    paths: list[Path] = []
    for text in modelfile.bases:
        path = locate(text, folder)
        if path is None:
            body["from"] = text
        else:
            paths.append(path)
    if paths:
        files = [path for found in read_gguf_files(paths) for path in found.paths]
        body["files"] = _sent(client, _named(files), report)
    if modelfile.adapters:
        adapters = [existing(text, folder) for text in modelfile.adapters]
        body["adapters"] = _sent(client, _named(adapters), report)
    if modelfile.draft:
        body["draft_files"] = _sent(client, _named([existing(modelfile.draft, folder)]), report)
    if modelfile.docs:
        docs = [existing(text, folder) for text in modelfile.docs]
        by_name = {travelling_path(path, folder): path for path in docs}
        body["docs"] = _sent(client, by_name, report)
    create(client, name, body | _texts(modelfile), report)


def derive(client: Client, name: str, modelfile: Modelfile) -> None:
    """Have the server build *modelfile*, which names a model that it has and no files, as *name*.

    Raises:
        InputError: it is not a Modelfile, or *name* is no name.
        NotFoundError: the server does not have the model.
        ServerError: the server cannot be reached, or failed.
    """
    check(modelfile)
    (base,) = modelfile.bases
    create(client, name, {"from": base} | _texts(modelfile), silent)


def _texts(modelfile: Modelfile) -> dict[str, object]:
    said: dict[str, object] = {
        "template": modelfile.template,
        "system": modelfile.system,
        "license": list(modelfile.licenses),
        "parameters": dict(modelfile.parameters),
        "labels": dict(modelfile.labels),
        "messages": [{"role": m.role, "content": m.content} for m in modelfile.messages],
    }
    for key in SETTINGS:
        said[key] = getattr(modelfile, key)
    return {key: value for key, value in said.items() if value}


def _named(paths: Iterable[Path]) -> dict[str, Path]:
    return {path.name: path for path in paths}


def _sent(client: Client, paths: Mapping[str, Path], report: Report) -> dict[str, str]:
    """Send *paths*, as far as the server has not got them; return their digests by name."""
    found: dict[str, str] = {}
    for name, path in paths.items():
        with path.open("rb") as file:
            size = path.stat().st_size
            hasher = hashlib.sha256()
            while block := file.read(limits.BLOCK):
                hasher.update(block)
                report(Event(action="hash", item=path.name, total=size, completed=file.tell()))
            digest = f"sha256:{hasher.hexdigest()}"
            report(Event(action="hash", item=path.name, total=size, completed=size, done=True))
            if not client.has_blob(digest):
                report(Event(action="status", item=f"sending {path.name}"))
                file.seek(0)
                client.send_blob(digest, file, size)
        found[name] = digest
    return found
