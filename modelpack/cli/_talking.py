"""The models of a session: the one in use, in place of which another can be loaded."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from modelpack.chat import Partner
from modelpack.cli._running import Found, find
from modelpack.cli.listing import listed
from modelpack.cli.show import field
from modelpack.modelfile import Message, Modelfile
from modelpack.modelfile.parameters import ParameterValue
from modelpack.ops.context import Context
from modelpack.ops.models import Description
from modelpack.runtime.embedded import require

Parameters = Mapping[str, ParameterValue]


class Talk:
    """The model in use, first *found*, which a server keeps for *keep_alive*; close it."""

    def __init__(
        self, context: Context, found: Found, options: Parameters, keep_alive: str = ""
    ) -> None:
        self._context = context
        self._keep_alive = keep_alive
        self._held = ExitStack()
        self._use(found, found.describe(), options)

    @property
    def partner(self) -> Partner:
        """The model in use."""
        return self._partner

    def load(self, name: str, options: Parameters) -> None:
        """Use the model *name*; the one before leaves first, so that there is memory for it."""
        found = find(self._context, name, None, self._keep_alive)
        require("text", found.purpose, found.name)
        before, description = (self._found, self._description), found.describe()
        self._held.close()
        try:
            self._use(found, description, options)
        except BaseException:
            self._use(*before, options)
            raise

    def save(self, name: str, modelfile: Modelfile) -> None:
        """Build *modelfile* as *name*, where the model in use is."""
        self._found.save(name, modelfile)

    def list(self, prefix: str) -> str:
        """Return what `modelpack list` prints."""
        return listed(self._context, prefix)

    def close(self) -> None:
        """Let the model in use go."""
        self._held.close()

    def _use(self, found: Found, description: Description, options: Parameters) -> None:
        self._partner = Partner(
            name=found.name,
            model=found.load(self._held, options),
            description=_Shown(description),
            sees=found.sees,
            opening=tuple(Message(*turn) for turn in description.messages),
        )
        self._found, self._description = found, description


class _Shown:
    """What `/show` tells: the same as `modelpack show`."""

    def __init__(self, description: Description) -> None:
        self._description = description

    def show(self, name: str) -> str:
        return field(self._description, name)
