"""How much we read of anything that we did not write, and how long we wait for it.

Sizes are in bytes, times in seconds. One place, so that a reviewer can see them together.
"""

from __future__ import annotations

KiB = 1024
MiB = 1024 * KiB
GiB = 1024 * MiB

# OCI
MANIFEST = 4 * MiB
"""A manifest or index: what the distribution specification asks registries to accept."""
CONFIG = 4 * MiB
"""A config blob."""
TEXT_LAYER = 16 * MiB
"""A template, system prompt, parameter, message or licence layer that is read into memory."""
LAYERS = 10_000
"""Descriptors in one manifest."""
LAYERS_WRITTEN = 450
"""Layers we put into one manifest; Amazon ECR refuses more than 500."""
REFERENCE = 255
"""Characters of `host/repository`, as the distribution specification advises."""
TAG = 128
"""Characters of a tag."""

# Modelfile
MODELFILE = 16 * MiB
"""A Modelfile."""

# GGUF
GGUF_HEADER = 512 * MiB
"""Metadata and tensor table together."""
GGUF_STRING = 16 * MiB
"""One string in a GGUF header."""
GGUF_ARRAY = 64 * 1024 * 1024
"""Elements of one array in a GGUF header."""
GGUF_METADATA = 65_536
"""Metadata keys."""
GGUF_TENSORS = 1_048_576
"""Tensors."""
GGUF_KEY = 65_535
"""Characters of a metadata key, as the GGUF specification has it."""
GGUF_NAME = 1024
"""Bytes of a tensor name; llama.cpp itself stops at 64."""
GGUF_SPLITS = 10_000
"""Files of one split GGUF."""

# HTTP
CONNECT_TIMEOUT_S = 10.0
READ_TIMEOUT_S = 60.0
ERROR_BODY = 64 * KiB
"""Body of an error answer."""
TOKEN_BODY = 1 * MiB
"""Answer of a token service."""
CREDENTIALS_FILE = 4 * MiB
"""docker's config.json and its relatives."""
HELPER_TIMEOUT_S = 10.0
"""A credential helper."""

# Moving bytes
BLOCK = 128 * KiB
"""Buffer of a copy: small enough to stay in the processor's cache."""
