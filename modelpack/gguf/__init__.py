"""The GGUF file format: read, write, split and join. Tensor data is never interpreted.

See: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
