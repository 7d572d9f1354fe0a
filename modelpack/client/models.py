"""The models of a server: list, show, name, remove, fetch, send and create them."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from modelpack.client.http import Client, Json
from modelpack.modelfile.parameters import ParameterValue, parse_parameters
from modelpack.progress import WARNING, Action, Event, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model of a list."""

    name: str
    digest: str
    """64 hex digits."""
    size: int
    modified: float
    """Seconds since 1970."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """One model that is loaded."""

    name: str
    digest: str
    size: int
    size_vram: int
    context_length: int
    expires_at: float
    """Seconds since 1970."""


def list_models(client: Client, prefix: str = "") -> list[Row]:
    """Return the models whose name starts with *prefix*, newest first."""
    wanted = prefix.lower()
    rows = (
        Row(
            name=str(one.get("name", "")),
            digest=str(one.get("digest", "")),
            size=int(one.get("size", 0)),
            modified=_time(one.get("modified_at")),
        )
        for one in client.ask("GET", "/api/tags").get("models") or ()
    )
    return [row for row in rows if row.name.lower().startswith(wanted)]


def list_running(client: Client, prefix: str = "") -> list[Running]:
    """Return the models that are loaded and whose name starts with *prefix*."""
    wanted = prefix.lower()
    rows = (
        Running(
            name=str(one.get("name", "")),
            digest=str(one.get("digest", "")),
            size=int(one.get("size", 0)),
            size_vram=int(one.get("size_vram", 0)),
            context_length=int(one.get("context_length", 0)),
            expires_at=_time(one.get("expires_at")),
        )
        for one in client.ask("GET", "/api/ps").get("models") or ()
    )
    return [row for row in rows if row.name.lower().startswith(wanted)]


def show(client: Client, name: str) -> Json:
    """Return all that the server knows of a model, as `/api/show` tells it."""
    return client.ask("POST", "/api/show", {"model": name})


def parameters_of(shown: Mapping[str, Any]) -> dict[str, ParameterValue]:
    """Return the parameters in what `show` returned."""
    lines = (line.partition(" ") for line in str(shown.get("parameters", "")).splitlines())
    return parse_parameters((name, text.strip()) for name, _, text in lines)


def copy(client: Client, source: str, destination: str) -> None:
    """Give a model a second name."""
    client.ask("POST", "/api/copy", {"source": source, "destination": destination})


def remove(client: Client, name: str) -> None:
    """Remove a model; it is unloaded first."""
    client.ask("DELETE", "/api/delete", {"model": name})


def stop(client: Client, name: str) -> None:
    """Unload a model as soon as nobody uses it."""
    body = {"model": name, "keep_alive": 0, "stream": False}
    client.ask("POST", "/api/generate", body)


def pull(client: Client, name: str, report: Report, *, insecure: bool = False) -> None:
    """Have the server fetch a model."""
    _follow(client.lines("/api/pull", {"model": name, "insecure": insecure}), "pull", report)


def push(client: Client, name: str, report: Report, *, insecure: bool = False) -> None:
    """Have the server send a model to its registry."""
    _follow(client.lines("/api/push", {"model": name, "insecure": insecure}), "push", report)


def create(client: Client, name: str, body: Mapping[str, object], report: Report) -> None:
    """Have the server build a model of what it has, as *body* says."""
    _follow(client.lines("/api/create", {"model": name, **body}), "build", report)


def _follow(lines: Iterator[Json], action: Action, report: Report) -> None:
    """Tell *report* what *lines* tell of the *action*."""
    for line in lines:
        if "digest" not in line:
            text = str(line.get("status", ""))
            warning = text.removeprefix(WARNING)
            kind: Action = "status" if warning == text else "warning"
            report(Event(action=kind, item=warning))
            continue
        total, completed = int(line.get("total", 0)), int(line.get("completed", 0))
        report(
            Event(
                action=action,
                item=str(line["digest"]),
                total=total,
                completed=completed,
                done=total > 0 and completed >= total,
            )
        )


def _time(text: object) -> float:
    """Return the time of RFC 3339 in *text*, which may have nanoseconds."""
    head, dot, rest = str(text).partition(".")
    zone = rest.lstrip("0123456789") if dot else ""
    digits = rest[: len(rest) - len(zone)][:6] if dot else ""
    try:
        said = f"{head}.{digits}{zone}" if digits else f"{head}{zone}"
        return datetime.datetime.fromisoformat(said).timestamp()
    except ValueError:
        return 0.0
