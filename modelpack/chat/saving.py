"""A session as a Modelfile, which is what `/save` builds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from modelpack.modelfile import Instruction, Modelfile
from modelpack.ops.models import parameter_text

if TYPE_CHECKING:
    from modelpack.chat.models import Partner
    from modelpack.chat.session import Session


def modelfile_of(session: Session, partner: Partner) -> Modelfile:
    """Return what makes a model of *partner* that goes on where *session* is.

    Only texts are kept of what was said, not pictures. A system prompt that the user set stands for
    all others.
    """
    rows = [Instruction("FROM", (partner.name,))]
    if session.system is not None:
        rows.append(Instruction("SYSTEM", (session.system,)))
    for name, value in session.options.items():
        values = value if isinstance(value, list) else [value]
        rows += [Instruction("PARAMETER", (name, parameter_text(item))) for item in values]
    said = [(turn.role, turn.content) for turn in partner.opening]
    said += [(turn.role, turn.content) for turn in session.messages]
    if session.system is not None:
        said = [(role, text) for role, text in said if role != "system"]
    return Modelfile((*rows, *(Instruction("MESSAGE", turn) for turn in said)))
