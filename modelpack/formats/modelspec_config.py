"""The config of a CNCF ModelPack artifact.

See: https://github.com/modelpack/model-spec/blob/v0.0.7/docs/config.md
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from modelpack.formats.artifact import Facts
from modelpack.oci.digest import Digest


def encode_config(facts: Facts, diff_ids: Sequence[Digest]) -> dict[str, object]:
    """Return the config object; members that are empty are left out, as the schema wants."""
    descriptor = {
        "createdAt": facts.created,
        "authors": list(facts.authors),
        "family": facts.family,
        "name": facts.name,
        "sourceURL": facts.source_url,
        "version": facts.version,
        "vendor": facts.vendor,
        "licenses": list(facts.licenses),
        "description": facts.description,
    }
    capabilities: dict[str, object] = {
        "inputTypes": list(facts.inputs),
        "outputTypes": list(facts.outputs),
        "reasoning": facts.reasoning,
        "toolUsage": facts.tools,
    }
    config = {
        "architecture": facts.architecture,
        "format": "gguf",
        "paramSize": facts.parameter_size,
        "precision": facts.precision,
        "quantization": facts.quantization,
        "capabilities": {key: value for key, value in capabilities.items() if value},
    }
    return {
        "descriptor": {key: value for key, value in descriptor.items() if value},
        "config": {key: value for key, value in config.items() if value},
        "modelfs": {"type": "layers", "diffIds": [str(digest) for digest in diff_ids]},
    }


def decode_config(value: Mapping[str, object]) -> Facts:
    """Return what the config object says; members of the wrong type count as absent."""
    descriptor = _object(value.get("descriptor"))
    config = _object(value.get("config"))
    capabilities = _object(config.get("capabilities"))
    return Facts(
        architecture=_text(config, "architecture"),
        family=_text(descriptor, "family"),
        name=_text(descriptor, "name"),
        parameter_size=_text(config, "paramSize"),
        quantization=_text(config, "quantization"),
        precision=_text(config, "precision"),
        version=_text(descriptor, "version"),
        vendor=_text(descriptor, "vendor"),
        description=_text(descriptor, "description"),
        source_url=_text(descriptor, "sourceURL"),
        authors=_texts(descriptor, "authors"),
        licenses=_texts(descriptor, "licenses"),
        inputs=_texts(capabilities, "inputTypes"),
        outputs=_texts(capabilities, "outputTypes"),
        tools=capabilities.get("toolUsage") is True,
        reasoning=capabilities.get("reasoning") is True,
        created=_text(descriptor, "createdAt"),
    )


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _text(value: Mapping[str, object], key: str) -> str:
    text = value.get(key)
    return text if isinstance(text, str) else ""


def _texts(value: Mapping[str, object], key: str) -> tuple[str, ...]:
    items = value.get(key)
    return tuple(i for i in items if isinstance(i, str)) if isinstance(items, list) else ()
