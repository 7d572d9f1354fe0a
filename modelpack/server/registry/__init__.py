"""The embedded registry: the OCI distribution API 1.1 over a folder.

For demonstrations, tests and sites without a network. `serve` runs it in the foreground, `running`
beside other code. Tag and blob deletion are there; collecting what no manifest refers to is not.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""

from modelpack.server.registry.listener import running, serve
from modelpack.server.registry.settings import RegistrySettings

__all__ = ["RegistrySettings", "running", "serve"]
