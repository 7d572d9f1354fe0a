"""`/api/create`: a request that says what a Modelfile would, over blobs that were sent before."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from modelpack.builder.plan import Cut
from modelpack.errors import DigestError, InputError, NotFoundError
from modelpack.formats.artifact import SETTINGS, safe_path
from modelpack.gguf.values import MAGIC
from modelpack.modelfile import Instruction, Modelfile, check
from modelpack.modelfile.parameters import PARAMETERS
from modelpack.oci.digest import Digest
from modelpack.ops.build import BuildOptions, build_from
from modelpack.ops.context import Context
from modelpack.ops.models import parameter_text
from modelpack.progress import Report
from modelpack.server.daemon.fields import Fields
from modelpack.server.daemon.ollama.options import options_from

_WEIGHTS = {"files": "FROM", "adapters": "ADAPTER", "draft_files": "DRAFT"}
"""Fields that name files of weights, and the instruction for each."""
_UNSUPPORTED = {
    "quantize": "quantizing is not possible here: build from weights that are quantized",
    "quantization": "quantizing is not possible here: build from weights that are quantized",
    "draft_quantize": "quantizing is not possible here: build from weights that are quantized",
    "remote_host": "models of other servers cannot be created",
    "remote_model": "models of other servers cannot be created",
}


def create(context: Context, name: str, fields: Fields) -> Callable[[Report], None]:
    """Return what builds the model *name* as *fields* say; what can be checked is, at once.

    Weights keep their bytes and stay the one blob that was sent.

    Raises:
        InputError: a field makes no sense, or names what is not possible.
        NotFoundError: a blob or a model is not there.
    """
    for field, why in _UNSUPPORTED.items():
        if field in fields:
            raise InputError(f"{field}: {why}")
    if "from" not in fields and "files" not in fields:
        raise InputError("neither 'from' or 'files' was specified")
    context.parse(name)
    rows = [*_weights(context, fields), *_texts(fields), *_parameters(fields), *_opening(fields)]
    rows += [Instruction("DOC", (inside,)) for inside, _ in _blobs(context, fields, "docs")]
    modelfile = Modelfile(tuple(rows))
    check(modelfile)
    docs = dict(_blobs(context, fields, "docs"))
    weights = {
        f"{field}/{inside}": path
        for field in _WEIGHTS
        for inside, path in _blobs(context, fields, field)
    }

    def work(report: Report) -> None:
        with tempfile.TemporaryDirectory() as text:
            folder = Path(text)
            for inside, path in (*weights.items(), *docs.items()):
                (folder / inside).parent.mkdir(parents=True, exist_ok=True)
                if inside in weights:
                    (folder / inside).symlink_to(path)
                else:
                    shutil.copyfile(path, folder / inside)
            options = BuildOptions(context=folder, tags=[name], cut=Cut(size=None), link=True)
            build_from(context, modelfile, options, report)

    return work


def _weights(context: Context, fields: Fields) -> Iterator[Instruction]:
    base = fields.text("from")
    if base:
        context.find(base)
        yield Instruction("FROM", (base,))
    for field, instruction in _WEIGHTS.items():
        for inside, path in _blobs(context, fields, field):
            _check_gguf(inside, path)
            yield Instruction(instruction, (f"./{field}/{inside}",))


def _blobs(context: Context, fields: Fields, field: str) -> Iterator[tuple[str, Path]]:
    given = fields.nested(field)
    for name, digest in given.value.items() if given else ():
        safe_path(name)
        if not isinstance(digest, str):
            raise fields.bad(f"{field}.{name[:80]}", "a digest")
        try:
            path = context.store.path(Digest.parse(digest.replace("sha256-", "sha256:", 1)))
        except DigestError:
            raise InputError(f"{field}.{name[:80]}: invalid digest format") from None
        if not path.is_file():
            raise NotFoundError(f"the blob of {name[:80]} is not here: {digest}")
        yield name, path


def _check_gguf(name: str, path: Path) -> None:
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise InputError(
                f"{name[:80]} is not in GGUF format", hint="convert safetensors with llama.cpp"
            )


def _texts(fields: Fields) -> Iterator[Instruction]:
    for field in ("template", "system", *SETTINGS):
        if text := fields.text(field):
            yield Instruction(field.upper(), (text,))
    for text in fields.texts("license"):
        yield Instruction("LICENSE", (text,))
    labels = fields.nested("labels")
    for key in labels.value if labels else ():
        yield Instruction("LABEL", (key, labels.text(key) if labels else ""))


def _parameters(fields: Fields) -> Iterator[Instruction]:
    given = fields.nested("parameters")
    for name in given.value if given else ():
        if name not in PARAMETERS:
            raise InputError(f"unknown parameter '{name[:80]}'")
    for name, value in options_from(given).items():
        for item in value if isinstance(value, list) else [value]:
            yield Instruction("PARAMETER", (name, parameter_text(item)))


def _opening(fields: Fields) -> Iterator[Instruction]:
    for message in fields.objects("messages"):
        yield Instruction("MESSAGE", (message.text("role"), message.text("content")))
