"""What a Modelfile says, as a value.

The instructions are kept in the order they were written; the properties answer what they mean
together: where only one can hold, the last one wins. Paths stay text: finding the files is left
to the builder.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from modelpack.modelfile.parameters import PARAMETERS, ParameterValue, parse_parameters

INSTRUCTIONS = (
    "FROM",
    "PARAMETER",
    "TEMPLATE",
    "SYSTEM",
    "ADAPTER",
    "DRAFT",
    "LICENSE",
    "MESSAGE",
    "RENDERER",
    "PARSER",
    "REQUIRES",
    "LABEL",
    "DOC",
)
"""Every instruction there is."""

PAIRS = frozenset(("PARAMETER", "MESSAGE", "LABEL"))
"""The instructions with two arguments; all others have one."""

TEXTS = frozenset(("TEMPLATE", "SYSTEM", "LICENSE", "MESSAGE"))
"""The instructions whose last argument is free text. It may be empty without quotes: Ollama writes
it so."""

ROLES = ("system", "user", "assistant")
"""Who a `MESSAGE` may come from."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction and its arguments: two for those in `PAIRS`, else one."""

    name: str
    """In upper case."""
    args: tuple[str, ...]
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of the conversation that a model begins with."""

    role: str
    content: str


@dataclass(frozen=True, slots=True)
class Modelfile:
    """A Modelfile that was parsed, or put together to be rendered."""

    instructions: tuple[Instruction, ...]
    warnings: tuple[str, ...] = field(default=(), compare=False)
    """What has no effect, in the order it was met."""

    @property
    def bases(self) -> tuple[str, ...]:
        """Every `FROM`: paths or references."""
        return self._all("FROM")

    @property
    def parameters(self) -> dict[str, ParameterValue]:
        """The parameters with their types; every `stop` is in one list, ignored ones are out.

        Raises:
            InputError: this was not made by `parse`, and a parameter is not one.
        """
        said = ((i.args[0], i.args[1]) for i in self.instructions if i.name == "PARAMETER")
        found = parse_parameters(said)
        return {key: value for key, value in found.items() if not PARAMETERS[key].ignored}

    @property
    def template(self) -> str | None:
        """The prompt template."""
        return self._last("TEMPLATE")

    @property
    def system(self) -> str | None:
        """The system prompt."""
        return self._last("SYSTEM")

    @property
    def adapters(self) -> tuple[str, ...]:
        """Paths of LoRA adapters."""
        return self._all("ADAPTER")

    @property
    def licenses(self) -> tuple[str, ...]:
        """Licence texts."""
        return self._all("LICENSE")

    @property
    def docs(self) -> tuple[str, ...]:
        """Paths of documentation files."""
        return self._all("DOC")

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation that the model begins with."""
        return tuple(Message(*i.args) for i in self.instructions if i.name == "MESSAGE")

    @property
    def renderer(self) -> str | None:
        """The name of a built-in prompt renderer."""
        return self._last("RENDERER")

    @property
    def parser(self) -> str | None:
        """The name of a built-in output parser."""
        return self._last("PARSER")

    @property
    def draft(self) -> str | None:
        """The path or reference of a model for speculative decoding."""
        return self._last("DRAFT")

    @property
    def requires(self) -> str | None:
        """The oldest runtime version that will do, without a leading `v`."""
        version = self._last("REQUIRES")
        return version.removeprefix("v") if version is not None else None

    @property
    def labels(self) -> dict[str, str]:
        """Annotations by key."""
        return {i.args[0]: i.args[1] for i in self.instructions if i.name == "LABEL"}

    def _all(self, name: str) -> tuple[str, ...]:
        return tuple(i.args[0] for i in self.instructions if i.name == name)

    def _last(self, name: str) -> str | None:
        return next((i.args[0] for i in reversed(self.instructions) if i.name == name), None)
