"""The model that `run` talks to: of a server that runs, else in a worker of our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelpack.cli._server import running
from modelpack.errors import InputError, NotFoundError
from modelpack.progress import silent

if TYPE_CHECKING:
    from modelpack.chat import ChatModel
    from modelpack.client.http import Client
    from modelpack.engine.purpose import Purpose
    from modelpack.modelfile import Modelfile
    from modelpack.modelfile.parameters import ParameterValue
    from modelpack.ops.context import Context
    from modelpack.ops.models import Description
    from modelpack.progress import Report

    Parameters = Mapping[str, ParameterValue]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model that can be run."""

    name: str
    purpose: Purpose
    sees: bool
    """Whether it looks at pictures."""
    describe: Callable[[], Description]
    load: Callable[[ExitStack, Parameters], ChatModel]
    """Load it with parameters; it goes with the stack."""
    embed: Callable[[Sequence[str], Parameters, bool, int], list[list[float]]]
    """Return vectors of texts: with parameters, cut texts that are too long, numbers of each."""
    save: Callable[[str, Modelfile], None]
    """Build, under a name, a Modelfile whose FROM is the model."""


def find(context: Context, name: str, report: Report | None, keep_alive: str) -> Found:
    """Return the model *name*; one that is not there is fetched if there is a *report*.

    Raises:
        NotFoundError: nobody has it.
        InputError: *keep_alive* is said, and no server runs.
    """
    server = running(context)
    if server is not None:
        client, same = server
        try:
            return _served(client, name, keep_alive)
        except NotFoundError:
            if same or not context.has(name):
                if report is None:
                    raise
                _bring(context, client, name, report, same=same)
                return _served(client, name, keep_alive)
    if keep_alive:
        raise InputError(
            "--keepalive is for models of a server, and none runs", hint="`modelpack serve`"
        )
    if report is None:
        context.find(name)
    return _own(context, name, report or silent)


def _bring(context: Context, client: Client, name: str, report: Report, *, same: bool) -> None:
    if same:
        from modelpack.ops.pull import ensure

        ensure(context, name, report)
        return
    from modelpack.client.models import pull

    pull(client, name, report, insecure=context.network.insecure)


def _served(client: Client, name: str, keep_alive: str) -> Found:
    from modelpack.cli import _remote
    from modelpack.client.creating import derive
    from modelpack.client.model import ServedModel
    from modelpack.client.models import show

    shown = show(client, name)
    model = ServedModel(client, name, keep_alive)

    def load(held: ExitStack, parameters: Parameters) -> ChatModel:
        del held
        model.load(parameters)
        return model

    def embed(
        texts: Sequence[str], parameters: Parameters, truncate: bool, dimensions: int
    ) -> list[list[float]]:
        return model.embed(texts, truncate=truncate, dimensions=dimensions, options=parameters)

    def describe() -> Description:
        return _remote.described(client, name, shown)

    def save(other: str, modelfile: Modelfile) -> None:
        derive(client, other, modelfile)

    capabilities = shown.get("capabilities", ())
    return Found(
        name=name,
        purpose="text" if "completion" in capabilities else "vectors",
        sees="vision" in capabilities,
        describe=describe,
        load=load,
        embed=embed,
        save=save,
    )


def _own(context: Context, name: str, report: Report) -> Found:
    from modelpack.ops.build import derive
    from modelpack.ops.models import capabilities_of, describe
    from modelpack.ops.run import load_model, purpose, stored_model

    stored = stored_model(context, name, report)

    def load(held: ExitStack, parameters: Parameters) -> ChatModel:
        return held.enter_context(load_model(stored, parameters))

    def embed(
        texts: Sequence[str], parameters: Parameters, truncate: bool, dimensions: int
    ) -> list[list[float]]:
        with load_model(stored, parameters) as loaded:
            return loaded.embed(texts, truncate=truncate, dimensions=dimensions).vectors

    def save(other: str, modelfile: Modelfile) -> None:
        derive(context, modelfile, other)

    return Found(
        name=stored.name,
        purpose=purpose(stored),
        sees="vision" in capabilities_of(stored),
        describe=lambda: describe(context, name),
        load=load,
        embed=embed,
        save=save,
    )
