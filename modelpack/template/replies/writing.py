"""How a model writes calls, for grammars that make it write some. Pure.

Only for ways of writing in which arguments are JSON; `detect` tells which one a model has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from modelpack.template.replies.detect import Calls


@dataclass(frozen=True, slots=True)
class Writing:
    """The texts around calls, the name of the tool and the JSON of its arguments."""

    begin: str = ""
    """Before the first call."""
    before: str = '{"name": "'
    """Before the name of the tool."""
    middle: str = '", "arguments": '
    """Between the name and the arguments."""
    after: str = "}"
    """Behind the arguments."""
    between: str | None = None
    """Between two calls; None where there can be only one."""
    end: str = ""
    """Behind the last call."""
    quoted: bool = True
    """Whether the name stands in a JSON string."""


def _listed(begin: str, end: str) -> Writing:
    return Writing(begin=f"{begin}[", between=", ", end=f"]{end}")


_BAR = "\N{FULLWIDTH VERTICAL LINE}"
_ARGS = "[ARGS]"
_FENCE = "```json"
_LLAMA = Writing(middle='", "parameters": ')

_WRITINGS: Final[dict[Calls, Writing]] = {
    Calls.HERMES: Writing(before='<tool_call>\n{"name": "', after="}\n</tool_call>", between="\n"),
    Calls.MISTRAL: _listed("[TOOL_CALLS]", ""),
    Calls.GRANITE: _listed("<|tool_call|>", ""),
    Calls.NEMOTRON: _listed("<TOOLCALL>", "</TOOLCALL>"),
    Calls.APRIEL: _listed("<tool_calls>", "</tool_calls>"),
    Calls.LFM: _listed("<|tool_call_start|>", "<|tool_call_end|>"),
    Calls.LLAMA_3: _LLAMA,
    Calls.JSON: _LLAMA,
    Calls.COMMAND_R: Writing(
        begin="<|START_ACTION|>[\n",
        before='    {"tool_call_id": "0", "tool_name": "',
        middle='", "parameters": ',
        end="\n]<|END_ACTION|>",
    ),
    Calls.FUNCTIONARY: Writing(
        before="<function=", middle=">", after="</function>", between="\n", quoted=False
    ),
    Calls.RECIPIENTS: Writing(before="", middle="\n", after="", quoted=False),
    Calls.KIMI: Writing(
        begin="<|tool_calls_section_begin|><|tool_call_begin|>",
        before="functions.",
        middle=":0<|tool_call_argument_begin|>",
        after="<|tool_call_end|>",
        end="<|tool_calls_section_end|>",
        quoted=False,
    ),
    Calls.DEEPSEEK: Writing(
        begin=f"<{_BAR}tool▁calls▁begin{_BAR}>",
        before=f"<{_BAR}tool▁call▁begin{_BAR}>",
        middle=f"<{_BAR}tool▁sep{_BAR}>",
        after=f"<{_BAR}tool▁call▁end{_BAR}>",
        between="",
        end=f"<{_BAR}tool▁calls▁end{_BAR}>",
        quoted=False,
    ),
    Calls.HARMONY: Writing(
        before="<|channel|>commentary to=functions.",
        middle=" <|constrain|>json<|message|>",
        after="",
        quoted=False,
    ),
}


def writing_of(calls: Calls | None, template_source: str) -> Writing | None:
    """Return how *calls* are written with this template; None where that is not with JSON."""
    found = _WRITINGS.get(calls) if calls is not None else None
    if found is None:
        return None
    if calls is Calls.MISTRAL and _ARGS in template_source:
        return Writing(before="[TOOL_CALLS]", middle=_ARGS, after="", between="", quoted=False)
    if calls is Calls.DEEPSEEK and _FENCE in template_source:
        before = f"{found.before}function{found.middle}"
        return replace(
            found, before=before, middle=f"\n{_FENCE}\n", after=f"\n```{found.after}", between="\n"
        )
    if calls is Calls.JSON and "parameters" not in template_source:
        return replace(found, middle='", "arguments": ')
    return found
