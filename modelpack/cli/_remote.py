"""What a server tells of a model, as commands show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from modelpack.client.models import list_models, parameters_of, show
from modelpack.formats.artifact import SETTINGS
from modelpack.gguf.summary import Summary
from modelpack.ops.models import Description

if TYPE_CHECKING:
    from collections.abc import Mapping

    from modelpack.client.http import Client


def describe(client: Client, name: str) -> Description:
    """Return what the server of *client* knows of the model *name*."""
    return described(client, name, show(client, name))


def described(client: Client, name: str, shown: Mapping[str, Any]) -> Description:
    """Return the same, with what the server has *shown* of the model; its size is asked for."""
    tagged = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    row = next((row for row in list_models(client, tagged) if row.name == tagged), None)
    projector = shown.get("projector_info")
    return Description(
        name=tagged,
        digest=f"sha256:{row.digest}" if row else "",
        size=row.size if row else 0,
        format=str(_details(shown).get("format", "")),
        summary=_summary(shown.get("model_info") or {}, _details(shown)),
        projector=_summary(projector, {}) if projector else None,
        capabilities=tuple(map(str, shown.get("capabilities") or ())),
        parameters=parameters_of(shown),
        template=str(shown.get("template", "")),
        system=str(shown.get("system", "")),
        messages=tuple(
            (str(one.get("role", "")), str(one.get("content", "")))
            for one in shown.get("messages") or ()
        ),
        licenses=(str(shown["license"]),) if shown.get("license") else (),
        settings={key: shown[key] for key in SETTINGS if shown.get(key)},
        labels={},
        layers=(),
        modelfile=str(shown.get("modelfile", "")),
    )


def _details(shown: Mapping[str, Any]) -> Mapping[str, Any]:
    return shown.get("details") or {}


def _summary(info: Mapping[str, Any], details: Mapping[str, Any]) -> Summary:
    architecture = str(info.get("general.architecture", ""))

    def text(key: str) -> str:
        return str(info.get(f"general.{key}") or "")

    return Summary(
        kind="model",
        architecture=architecture,
        name=text("name"),
        parameters=int(info.get("general.parameter_count") or 0),
        quantization=str(details.get("quantization_level", "")),
        context_length=int(info.get(f"{architecture}.context_length") or 0),
        embedding_length=int(info.get(f"{architecture}.embedding_length") or 0),
        license=text("license"),
        author=text("author"),
        organization=text("organization"),
        description=text("description"),
        version=text("version"),
        url=text("url"),
        chat_template="tokenizer.chat_template" in info,
    )
