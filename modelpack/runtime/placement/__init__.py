"""Where a model goes: what it needs, what the machine has, and which layers lie where."""
