"""The Modelfile language: text to a value and back. No files are opened, no paths resolved."""

from __future__ import annotations

from modelpack.modelfile.lexer import decode
from modelpack.modelfile.model import Instruction, Message, Modelfile
from modelpack.modelfile.parser import parse
from modelpack.modelfile.writer import check, render, writable

__all__ = [
    "Instruction",
    "Message",
    "Modelfile",
    "check",
    "decode",
    "parse",
    "render",
    "writable",
]
