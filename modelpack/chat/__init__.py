"""Talking to a model: one question, or a session at the terminal.

What comes out goes through a callable and what comes in comes from one, so nothing here prints.
"""

from modelpack.chat.answer import ChatModel, Manner, answer
from modelpack.chat.models import Partner
from modelpack.chat.pictures import question
from modelpack.chat.repl import interactive
from modelpack.chat.session import Session
from modelpack.chat.statistics import format_forgotten, format_statistics

__all__ = [
    "ChatModel",
    "Manner",
    "Partner",
    "Session",
    "answer",
    "format_forgotten",
    "format_statistics",
    "interactive",
    "question",
]
