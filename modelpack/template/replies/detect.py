"""How a model writes calls and thinking, by what its template contains.

A template shows calls and thinking of earlier turns as the model wrote them, so its text has the
markers. The first row that fits counts; rows that others contain stand below those.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

from modelpack.template.replies.thought import Tags


class Calls(Enum):
    """A way to write calls."""

    HARMONY = "harmony"
    DEEPSEEK = "deepseek"
    DSML = "dsml"
    KIMI = "kimi"
    MISTRAL = "mistral"
    GLM = "glm"
    MINIMAX = "minimax"
    QWEN_CODER = "qwen-coder"
    RECIPIENTS = "recipients"
    FUNCTIONARY = "functionary"
    GRANITE = "granite"
    COMMAND_R = "command-r"
    NEMOTRON = "nemotron"
    APRIEL = "apriel"
    HERMES = "hermes"
    LLAMA_3 = "llama-3"
    LFM = "lfm"
    PYTHON = "python"
    GEMMA = "gemma"
    FUNCTION_GEMMA = "function-gemma"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Form:
    """How a model writes; by default nothing but text."""

    calls: Calls | None = None
    thinking: Tags | None = None
    prefills: bool = False
    """Whether the template may begin the thinking, so that the reply has no opening tag."""


PLAIN = Form()

_CALLS: tuple[tuple[Calls, tuple[str, ...]], ...] = (
    (Calls.HARMONY, ("<|channel|>", "<|message|>")),
    (Calls.DEEPSEEK, ("\N{FULLWIDTH VERTICAL LINE}tool▁call",)),
    (Calls.DSML, ("\N{FULLWIDTH VERTICAL LINE}DSML\N{FULLWIDTH VERTICAL LINE}",)),
    (Calls.KIMI, ("<|tool_call_begin|>",)),
    (Calls.MISTRAL, ("[TOOL_CALLS]",)),
    (Calls.GLM, ("<tool_call>", "<arg_key>")),
    (Calls.MINIMAX, ("<invoke name=", "<parameter name=")),
    (Calls.QWEN_CODER, ("<function=", "<parameter=")),
    (Calls.RECIPIENTS, (">>>all",)),
    (Calls.FUNCTIONARY, ("<function=",)),
    (Calls.GRANITE, ("<|tool_call|>",)),
    (Calls.COMMAND_R, ("<|START_ACTION|>",)),
    (Calls.NEMOTRON, ("<TOOLCALL>",)),
    (Calls.APRIEL, ("<tool_calls>",)),
    (Calls.HERMES, ("<tool_call>",)),
    (Calls.GEMMA, ("<|tool_call>", "call:")),
    (Calls.FUNCTION_GEMMA, ("<start_function_call>",)),
    (Calls.LFM, ("<|tool_call_start|>",)),
    (Calls.PYTHON, ("func_name1(",)),
    (Calls.LLAMA_3, ("<|python_tag|>",)),
)
_HARMONY = ("<|start|>", "<|channel|>", "<|constrain|>", "<|message|>", "<|end|>")
_NAMING = (
    "tool",
    "python_tag",
    "function",
    "invoke",
    "args",
    "call_id",
    "action",
    "dsml",
    "escape",
    '"',
)
"""What is in the names of the control tokens that stand around calls and their parts."""
_TOOLS = {"jinja": "tools", "go": ".Tools"}
_GENERIC = ("name", "parameters"), ("name", "arguments")

_THINKING: tuple[tuple[str, Tags], ...] = (
    ("<|START_THINKING|>", Tags(("<|START_THINKING|>",), ("<|END_THINKING|>",))),
    ("[THINK]", Tags(("[THINK]",), ("[/THINK]",))),
    ("<seed:think>", Tags(("<seed:think>",), ("</seed:think>",))),
    (
        "Here is my thought process:",
        Tags(
            ("Here is my thought process:", "Here's my thought process:"),
            ("Here is my response:", "Here's my response:"),
        ),
    ),
    ("<|channel>thought", Tags(("<|channel>thought",), ("<channel|>",))),
    ("</thinking>", Tags(("<thinking>",), ("</thinking>",))),
    ("<think>", Tags(("<think>",), ("</think>",))),
    ("</think>", Tags(("<think>",), ("</think>",))),
)
_CHANNELS = Tags(("<|channel|>analysis<|message|>",), ("<|end|>",))


def form_of(template_source: str, kind: Literal["jinja", "go"]) -> Form:
    """Return how a model with this template writes."""
    calls = _calls(template_source, kind)
    if calls is Calls.HARMONY:
        return Form(calls, _CHANNELS, prefills=True)
    found = (tags for sign, tags in _THINKING if sign in template_source)
    thinking = next(found, None)
    return Form(calls, thinking, prefills=_prefills(template_source, thinking))


def prefilled(prompt: str, form: Form) -> bool:
    """Tell whether *prompt*, as the template rendered it, ends inside thinking."""
    if form.thinking is None or not form.prefills:
        return False
    return prompt.rstrip().endswith(form.thinking.opens)


def reads(form: Form, name: str) -> bool:
    """Tell whether the control token *name* is one that replies of *form* are read by.

    Control tokens are no text. Those that stand around calls and thinking must come through.
    """
    if form.calls is Calls.HARMONY:
        return name in _HARMONY
    tags = form.thinking
    if tags is not None and any(name in tag for tag in (*tags.opens, *tags.closes)):
        return True
    word = name.lower()
    return form.calls is not None and any(part in word for part in _NAMING)


def _calls(source: str, kind: str) -> Calls | None:
    for calls, signs in _CALLS:
        if all(sign in source for sign in signs):
            return calls
    words = any(all(word in source for word in pair) for pair in _GENERIC)
    return Calls.JSON if words and _TOOLS[kind] in source else None


def _prefills(source: str, thinking: Tags | None) -> bool:
    return thinking is not None and any(tag in source for tag in thinking.opens)
