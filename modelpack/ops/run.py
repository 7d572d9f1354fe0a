"""Open a model for running, out of the blobs in the store."""

from __future__ import annotations

from collections.abc import Mapping

from modelpack.engine.purpose import Purpose, purpose_of_file
from modelpack.formats.artifact import Role
from modelpack.modelfile.parameters import ParameterValue
from modelpack.ops.context import Context
from modelpack.ops.model import StoredModel
from modelpack.ops.pull import ensure
from modelpack.progress import Report, silent
from modelpack.runtime.model import ModelFiles
from modelpack.runtime.worker.model import WorkerModel


def stored_model(context: Context, text: str, report: Report = silent) -> StoredModel:
    """Return the model *text* from the store, fetching it where it is not there."""
    entry = ensure(context, text, report)
    return StoredModel(context.store, entry.reference, entry.manifest)


def purpose(model: StoredModel) -> Purpose:
    """Return what *model* is for: to write, to make vectors, or to compare texts.

    Raises:
        IntegrityError: a blob of it is missing.
    """
    files = model.files(Role.MODEL)
    return purpose_of_file(files[0]) if files else "text"


def load_model(
    model: StoredModel, overrides: Mapping[str, ParameterValue] | None = None
) -> WorkerModel:
    """Load *model* in a process of its own; *overrides* win over the parameters of its build.

    Raises:
        MissingExtraError: the runtime is not installed.
        EngineError: it cannot be loaded.
        IntegrityError: a blob of it is missing.
    """
    return WorkerModel(files_of(model), overrides or {})


def files_of(model: StoredModel) -> ModelFiles:
    """Return what there is to *model*, for whoever loads it.

    Raises:
        IntegrityError: a blob of it is missing.
    """
    return ModelFiles(
        name=model.name,
        weights=model.files(Role.MODEL),
        adapters=model.files(Role.ADAPTER),
        projectors=model.files(Role.PROJECTOR),
        template=model.template(),
        system=model.text(Role.SYSTEM),
        parameters=model.parameters(),
        messages=model.messages(),
    )
