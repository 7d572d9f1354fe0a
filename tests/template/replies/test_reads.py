from __future__ import annotations

import pytest

from modelpack.template.replies.detect import PLAIN, Calls, Form, form_of, reads

THINK = form_of("<think> {{ tools }} <tool_call>", "jinja")


@pytest.mark.parametrize(
    ("form", "name", "read"),
    [
        (THINK, "<think>", True),
        (THINK, "</think>", True),
        (THINK, "<tool_call>", True),
        (THINK, "<|im_end|>", False),
        (Form(Calls.MISTRAL), "[TOOL_CALLS]", True),
        (Form(Calls.MISTRAL), "[ARGS]", True),
        (Form(Calls.MISTRAL), "[INST]", False),
        (Form(Calls.LLAMA_3), "<|python_tag|>", True),
        (Form(Calls.LLAMA_3), "<|start_header_id|>", False),
        (Form(Calls.DEEPSEEK), "<\uff5ctool\u2581call\u2581begin\uff5c>", True),
        (Form(Calls.HARMONY), "<|channel|>", True),
        (Form(Calls.HARMONY), "<|return|>", False),
        (form_of("<|channel>thought", "jinja"), "<|channel>", True),
        (Form(Calls.GEMMA), '<|"|>', True),
        (PLAIN, "<tool_call>", False),
    ],
)
def test_control_tokens_around_calls_and_thinking_come_through(form, name, read):
    assert reads(form, name) is read
