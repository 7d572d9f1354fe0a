"""ModelPack packages GGUF models as OCI artifacts, moves them and runs them."""

__version__ = "0.1.0"
