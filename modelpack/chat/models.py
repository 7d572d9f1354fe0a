"""The model that a session talks to, and what a session asks of the place where models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from modelpack.chat.answer import ChatModel
    from modelpack.modelfile import Message, Modelfile
    from modelpack.modelfile.parameters import ParameterValue


class ModelDescription(Protocol):
    """What can be told about the model in use."""

    def show(self, field: str) -> str:
        """Return the text of *field*, one of `commands.FIELDS`; nothing where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partner:
    """A model that is loaded, and what is known of it."""

    name: str
    model: ChatModel
    description: ModelDescription
    sees: bool = False
    """Whether it looks at pictures."""
    opening: Sequence[Message] = ()
    """What its conversations begin with; it knows that by itself."""


class Models(Protocol):
    """The model in use, and where the others are."""

    @property
    def partner(self) -> Partner:
        """The model in use."""

    def load(self, name: str, options: Mapping[str, ParameterValue]) -> None:
        """Use the model *name*, loaded with *options*; after an error, the one before is in use.

        Raises:
            NotFoundError: there is none.
            ModelPackError: it cannot be loaded, or is not one to talk to.
        """

    def save(self, name: str, modelfile: Modelfile) -> None:
        """Build *modelfile*, whose FROM is the model in use, as *name*.

        Raises:
            ModelPackError: it cannot be built, or not under this name.
        """

    def list(self, prefix: str) -> str:
        """Return a table of the models whose name starts with *prefix*."""
