"""What a GGUF file says about itself, in the words people use."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from modelpack.gguf.reader import Header
from modelpack.gguf.values import FILE_TYPES

Kind: TypeAlias = Literal["model", "adapter", "projector", "imatrix"]

_STEPS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The facts that a config, a listing and a memory plan need; 0 or empty where unknown."""

    kind: Kind
    architecture: str
    name: str
    parameters: int
    """How many numbers the tensors hold."""
    quantization: str
    """`general.file_type`, else the type most bytes have."""
    context_length: int
    """Tokens the model was trained for."""
    embedding_length: int
    license: str
    author: str
    organization: str
    description: str
    version: str
    url: str
    chat_template: bool
    """Whether a Jinja chat template is inside."""

    @property
    def parameter_size(self) -> str:
        """The parameter count as Ollama writes it: `3.2B`, `270.00M`."""
        return format_parameters(self.parameters)


def format_parameters(count: int) -> str:
    """Write a parameter count as Ollama does: one decimal for billions, two for millions."""
    for step, letter in _STEPS:
        if count >= step:
            digits = 2 if letter == "M" else 1 if letter in "BT" else 0
            return f"{count / step:.{digits}f}{letter}"
    return str(count)


def summarize(headers: Sequence[Header]) -> Summary:
    """Describe the model in *headers*: one file, or the shards of one in order."""
    first = headers[0]
    architecture = first.text("general.architecture") or ""
    file_type = first.integer("general.file_type")
    label = FILE_TYPES.get(file_type, "") if file_type is not None else ""

    def text(key: str) -> str:
        return first.text(f"general.{key}") or ""

    return Summary(
        kind=_kind(first, architecture),
        architecture=architecture,
        name=text("name"),
        parameters=sum(tensor.elements for header in headers for tensor in header.tensors),
        quantization=label or _common_type(headers),
        context_length=first.integer(f"{architecture}.context_length") or 0,
        embedding_length=first.integer(f"{architecture}.embedding_length") or 0,
        license=text("license"),
        author=text("author"),
        organization=text("organization"),
        description=text("description"),
        version=text("version"),
        url=text("url") or text("repo_url") or text("source.url"),
        chat_template="tokenizer.chat_template" in first.fields,
    )


def _kind(header: Header, architecture: str) -> Kind:
    said = header.text("general.type") or ""
    if said == "adapter" or "adapter.type" in header.fields:
        return "adapter"
    if said == "mmproj" or architecture == "clip":
        return "projector"
    return "imatrix" if said == "imatrix" else "model"


def _common_type(headers: Sequence[Header]) -> str:
    sizes: dict[str, int] = {}
    for header in headers:
        for tensor in header.tensors:
            sizes[tensor.type_name] = sizes.get(tensor.type_name, 0) + tensor.size
    return max(sizes, key=lambda name: (sizes[name], name)) if sizes else ""
