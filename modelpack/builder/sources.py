"""Find the files that a Modelfile names, and read their headers.

A path is taken as Ollama takes it: absolute, `~/…`, or relative to the context folder. A folder
means the GGUF files in it; one shard of a split GGUF means its siblings too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from modelpack.content.disk import expanded
from modelpack.errors import GgufError, InputError, NotFoundError
from modelpack.gguf.join import order_shards
from modelpack.gguf.reader import Header, read_header
from modelpack.gguf.split import SPLIT_COUNT, split_name
from modelpack.gguf.summary import Kind, summarize

_SHARD = re.compile(r"(?P<stem>.+)-\d{5}-of-(?P<count>\d{5})\.gguf\Z")


@dataclass(frozen=True, slots=True)
class GgufFiles:
    """One GGUF: a file, or the shards of a split one in order."""

    paths: tuple[Path, ...]
    headers: tuple[Header, ...]

    @property
    def kind(self) -> Kind:
        """What is in it."""
        return summarize(self.headers).kind

    @property
    def names(self) -> tuple[str, ...]:
        """The file names to travel under; shards by llama.cpp's convention."""
        if len(self.paths) == 1:
            return (self.paths[0].name,)
        match = _SHARD.match(self.paths[0].name)
        stem = match["stem"] if match else self.paths[0].stem
        count = len(self.paths)
        return tuple(split_name(stem, i + 1, count) for i in range(count))


def locate(text: str, context: Path) -> Path | None:
    """Return the file or folder that *text* means, or None where it must be a model's name.

    Raises:
        NotFoundError: *text* is plainly a path, and nothing is there.
        InputError: there is no such folder as its `~` stands for.
    """
    try:
        path = context / expanded(text)
        there = path.exists()
    except (OSError, ValueError):
        there = False
        path = Path(text)
    if there:
        return path
    if text.startswith(("/", "./", "../", "~")) or text.lower().endswith((".gguf", ".bin")):
        raise NotFoundError(
            f"no such file: {path}", hint="paths are relative to the folder of the Modelfile"
        )
    return None


def existing(text: str, context: Path) -> Path:
    """Return the file that *text* names, relative to *context*.

    Raises:
        NotFoundError: there is none.
    """
    path = locate(text, context)
    if path is None:
        raise NotFoundError(f"no such file: {context / text}")
    return path


def read_gguf_files(paths: Iterable[Path]) -> tuple[GgufFiles, ...]:
    """Read the headers of *paths* and put the shards of split files together.

    Raises:
        GgufError: a file is not GGUF, or a shard is missing or given twice.
    """
    files = [file for path in paths for file in _expand(path)]
    whole: list[GgufFiles] = []
    shards: list[tuple[Path, Header]] = []
    for file in files:
        header = read_header(file)
        if (header.integer(SPLIT_COUNT) or 1) > 1:
            shards.append((file, header))
        else:
            whole.append(GgufFiles((file,), (header,)))
    if len(shards) == 1:
        shards = _with_siblings(*shards[0])
    if shards:
        order = order_shards([h for _, h in shards], [str(p) for p, _ in shards])
        joined = [shards[i] for i in order]
        whole.insert(0, GgufFiles(tuple(p for p, _ in joined), tuple(h for _, h in joined)))
    return tuple(whole)


def one_model(found: Sequence[GgufFiles]) -> tuple[GgufFiles | None, tuple[GgufFiles, ...]]:
    """Return the model among *found* and its projectors.

    Raises:
        InputError: there are two models, or a file that is neither.
    """
    models = [files for files in found if files.kind == "model"]
    projectors = tuple(files for files in found if files.kind == "projector")
    for files in found:
        if files.kind in ("adapter", "imatrix"):
            raise InputError(
                f"{files.paths[0]} is a GGUF {files.kind}, not a model",
                hint="adapters belong into an ADAPTER line",
            )
    if len(models) > 1:
        raise InputError(
            f"FROM names two models: {models[0].paths[0]} and {models[1].paths[0]}",
            hint="a Modelfile has one model; the shards of a split one belong together",
        )
    return (models[0] if models else None), projectors


def _expand(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.iterdir() if file.suffix.lower() == ".gguf")
    if not found:
        raise NotFoundError(f"no GGUF file in {path}")
    return found


def _with_siblings(path: Path, header: Header) -> list[tuple[Path, Header]]:
    match = _SHARD.match(path.name)
    count = header.integer(SPLIT_COUNT) or 1
    if match is None:
        raise GgufError(
            f"{path} is one of {count} shards, and its name does not tell the others",
            hint="name every shard in a FROM line of its own",
        )
    names = [split_name(match["stem"], i + 1, int(match["count"])) for i in range(count)]
    siblings = [path.with_name(name) for name in names]
    for sibling in siblings:
        if not sibling.exists():
            raise GgufError(
                f"split GGUF is not complete: {sibling} is missing",
                hint="put all shards into one folder",
            )
    return [(sibling, read_header(sibling)) for sibling in siblings]
