"""What a model writes back: text, thinking and tool calls, told apart while they come. Pure.

`detect` says from a template how its model writes, `parser` reads that.
"""
