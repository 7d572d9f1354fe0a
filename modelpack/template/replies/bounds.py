"""How much of a reply is held back before it counts as text, in characters and counts."""

from __future__ import annotations

CALL = 1024 * 1024
"""One call, or one list of calls, from its first marker on."""
NAME = 256
"""The name of a tool, of an argument, or what identifies a call."""
HEADER = 1024
"""What a message of several says of itself before it begins."""
NESTING = 64
"""Lists and objects in one another."""
CALLS = 256
"""Calls of one reply; what looks like more is text."""
