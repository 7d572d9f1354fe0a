"""The models that `docs/format.md` shows, and the parts of the document that are made from them.

Run as a program, this writes those parts into the document again:

    python tests/docs/examples.py
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack.builder.plan import Cut
from modelpack.config import Settings
from modelpack.gguf.reader import Header, read_header
from modelpack.gguf.split import SPLIT_KEYS
from modelpack.gguf.values import Value, ValueType
from modelpack.gguf.writer import write_gguf
from modelpack.oci.descriptor import Descriptor
from modelpack.oci.manifest import Manifest
from modelpack.ops.build import BuildOptions, build
from modelpack.ops.context import Context

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "format.md"

MODELFILE = '''\
FROM ./example.gguf
FROM ./mmproj.gguf
ADAPTER ./lora.gguf
DRAFT ./draft.gguf
TEMPLATE """{{ range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
SYSTEM You answer in one sentence.
PARAMETER temperature 0.2
PARAMETER stop <|im_end|>
MESSAGE user Grüß dich!
MESSAGE assistant Hello. What would you like to know?
REQUIRES 0.1.0
LICENSE Apache-2.0
LICENSE The weights may be used for research only.
DOC README.md
LABEL org.opencontainers.image.source=https://git.example.com/models/example
'''

LAYERED_MODELFILE = "FROM ./example.gguf\n"
LAYERED_CUT = Cut(size=1200)
"""`--layer-size 1200B`."""

_GENERAL = {
    "name": "Example",
    "version": "1.0",
    "author": "A. Author",
    "organization": "Example Org",
    "description": "A model to read about",
    "license": "apache-2.0",
    "url": "https://models.example.com/example",
}
_FILE_TYPE_F16 = 1
_F32 = 0
_WIDTH = 16


def write_files(folder: Path) -> None:
    """Write what the Modelfiles of this module name into *folder*."""
    general = {f"general.{key}": Value.string(text) for key, text in _GENERAL.items()}
    model = {
        "general.architecture": Value.string("llama"),
        **general,
        "general.file_type": Value.uint32(_FILE_TYPE_F16),
        "llama.context_length": Value.uint32(128),
        "tokenizer.ggml.tokens": Value.array(ValueType.STRING, ["<|im_start|>", "<|im_end|>"]),
        "tokenizer.chat_template": Value.string("{{ messages }}{{ tools }}"),
    }
    names = ["token_embd.weight", "output_norm.weight"]
    names += [f"blk.{n}.{role}.weight" for n in (0, 1) for role in ("attn_q", "ffn_down")]
    _write(folder / "example.gguf", model, names)
    _write(folder / "mmproj.gguf", _kind("clip", "mmproj"), ["v.patch_embd.weight"])
    _write(folder / "lora.gguf", _kind("llama", "adapter"), ["blk.0.attn_q.weight.lora_a"])
    _write(folder / "draft.gguf", _kind("llama", "model"), ["token_embd.weight"])
    (folder / "README.md").write_text("# Example\n")


def _kind(architecture: str, kind: str) -> dict[str, Value]:
    return {
        "general.architecture": Value.string(architecture),
        "general.type": Value.string(kind),
    }


def _write(path: Path, metadata: Mapping[str, Value], names: Sequence[str]) -> None:
    """Write tensors of `_WIDTH` rows and columns, a norm with one row; each has its own bytes."""
    with path.open("wb") as stream:
        write_gguf(stream, metadata, [_tensor(name, number) for number, name in enumerate(names)])


def _tensor(name: str, number: int) -> tuple[str, tuple[int, ...], int, bytes]:
    shape = (_WIDTH,) if "norm" in name else (_WIDTH, _WIDTH // 2)
    size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
    return name, shape, _F32, bytes((number + 1,)) * size


@dataclass(frozen=True, slots=True)
class Example:
    """One build: what came out, and how to read a blob of it."""

    context: Context
    folder: Path
    manifest: Manifest

    def read(self, blob: Descriptor) -> bytes:
        """Return the bytes of *blob*."""
        return self.file(blob).read_bytes()

    def file(self, blob: Descriptor) -> Path:
        """Return the file of *blob* in the store."""
        return self.context.store.path(blob.digest)

    @property
    def config(self) -> bytes:
        """The bytes of the config."""
        return self.read(self.manifest.config)


def make(folder: Path, modelfile: str = MODELFILE, **options: object) -> Example:
    """Build *modelfile* in *folder*, with a store of its own there."""
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder)
    environment = {"HOME": str(folder), "MODELPACK_MODELS": str(folder / "models")}
    context = Context.create(Settings.from_environment(environment))
    settings = BuildOptions(context=folder, tags=["example"], **options)  # type: ignore[arg-type]
    return Example(context, folder, build(context, modelfile.encode(), settings).manifest)


def make_layered(folder: Path) -> Example:
    """Build the example whose weights are cut."""
    return make(folder, LAYERED_MODELFILE, cut=LAYERED_CUT)


def parts(folder: Path) -> dict[str, str]:
    """Return the parts of the document by name, as they must stand there."""
    whole, layered = make(folder / "whole"), make_layered(folder / "layered")
    return {
        "modelfile": _fenced("text", MODELFILE),
        "manifest": _fenced("json", _pretty(whole.manifest.raw)),
        "config": _fenced("json", _pretty(whole.config)),
        "texts": _fenced("text", "\n".join(_texts(whole))),
        "layered-manifest": _fenced("json", _pretty(layered.manifest.raw)),
        "shards": "\n".join(_shard_table(layered)),
        "digests": _fenced("text", "\n".join(_digests(whole, layered))),
    }


def _digests(whole: Example, layered: Example) -> Iterator[str]:
    yield f"example.gguf         {whole.manifest.layers[0].digest}"
    yield f"manifest             {whole.manifest.digest}"
    yield f"manifest, layered    {layered.manifest.digest}"


def _pretty(raw: bytes) -> str:
    return json.dumps(json.loads(raw), indent=2, ensure_ascii=False)


def _texts(example: Example) -> Iterator[str]:
    for blob in example.manifest.layers:
        path = blob.annotations["org.cncf.model.filepath"]
        if path.endswith(".json"):
            yield f"{path + ':':<25}{example.read(blob).decode()}"


def _shard_table(example: Example) -> Iterator[str]:
    yield "| Layer | Metadata | Tensors |"
    yield "|---|---|---|"
    for blob in example.manifest.layers:
        header = read_header(example.file(blob))
        keys = [f"`{key}={_shown(header, key)}`" for key in header.fields if key in SPLIT_KEYS]
        if len(keys) < len(header.fields):
            keys.insert(0, "all of the source's, then")
        tensors = ", ".join(f"`{tensor.name}`" for tensor in header.tensors) or "none"
        yield f"| `{blob.annotations['org.cncf.model.filepath']}` | {' '.join(keys)} | {tensors} |"


def _shown(header: Header, key: str) -> str:
    value = header.value(key)
    assert value is not None
    items = value.value
    return json.dumps(items if not isinstance(items, tuple) else list(items))


def _fenced(language: str, text: str) -> str:
    return f"```{language}\n{text.rstrip()}\n```"


def marked(text: str) -> dict[str, str]:
    """Return the parts of the document *text* that stand between marks, by name."""
    pattern = r"<!-- example: ([a-z-]+) -->\n(.*?)\n<!-- end -->"
    return dict(re.findall(pattern, text, flags=re.DOTALL))


def main() -> None:
    """Write the parts into the document."""
    text = DOCUMENT.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for name, part in parts(Path(folder)).items():
            mark = f"<!-- example: {name} -->\n"
            before, found, rest = text.partition(mark)
            if not found:
                raise SystemExit(f"{DOCUMENT} has no part {name}")
            text = f"{before}{mark}{part}\n<!-- end -->{rest.partition('<!-- end -->')[2]}"
    DOCUMENT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
