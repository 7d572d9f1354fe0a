"""A remote registry as a place to copy from and to.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""
