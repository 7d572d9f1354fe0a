"""What a config says of a model, out of what its GGUF says of itself."""

from __future__ import annotations

from modelpack.builder.sources import GgufFiles
from modelpack.formats.artifact import Facts
from modelpack.gguf.summary import summarize

_PRECISIONS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def facts_of(model: GgufFiles, template: str | None, *, vision: bool, created: str) -> Facts:
    """Describe *model*; *template* is the Modelfile's, which wins over the one inside."""
    summary = summarize(model.headers)
    header = model.headers[0]
    prompt = template or header.text("tokenizer.chat_template") or ""
    pooling = header.integer(f"{summary.architecture}.pooling_type")
    return Facts(
        architecture=summary.architecture,
        family=summary.architecture,
        name=summary.name,
        parameter_size=summary.parameter_size,
        quantization=summary.quantization,
        precision=_PRECISIONS.get(summary.quantization, ""),
        version=summary.version,
        vendor=summary.organization,
        description=summary.description,
        source_url=summary.url,
        authors=(summary.author,) if summary.author else (),
        licenses=(summary.license,) if summary.license else (),
        inputs=("text", "image") if vision else ("text",),
        outputs=("embedding",) if pooling else ("text",),
        tools="tools" in prompt or ".Tools" in prompt,
        reasoning="<think>" in prompt or ".Thinking" in prompt,
        created=created,
    )
