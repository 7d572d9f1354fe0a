"""What a config says of a model, out of what its GGUF says of itself."""

from __future__ import annotations

from dataclasses import replace

from modelpack.builder.sources import GgufFiles
from modelpack.formats.artifact import Facts
from modelpack.gguf.summary import summarize

_PRECISIONS = {"F32": "float32", "F16": "float16", "BF16": "bfloat16"}


def facts_of(model: GgufFiles, template: str | None, *, vision: bool, created: str) -> Facts:
    """Describe *model*; *template* is the Modelfile's, which wins over the one inside."""
    summary = summarize(model.headers)
    header = model.headers[0]
    prompt = template or header.text("tokenizer.chat_template") or ""
    tools, reasoning = abilities_of(prompt)
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
        tools=tools,
        reasoning=reasoning,
        created=created,
    )


def inherited_facts(base: Facts, template: str | None, *, vision: bool, created: str) -> Facts:
    """Return what is known of a model built on *base*, with a *template* of its own or not."""
    tools, reasoning = abilities_of(template) if template else (base.tools, base.reasoning)
    inputs = ("text", "image") if vision else base.inputs
    return replace(base, tools=tools, reasoning=reasoning, inputs=inputs, created=created)


def abilities_of(template: str) -> tuple[bool, bool]:
    """Tell whether *template* knows tools, and whether it knows thinking."""
    return (
        "tools" in template or ".Tools" in template,
        "<think>" in template or ".Thinking" in template,
    )
