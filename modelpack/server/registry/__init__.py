"""The embedded registry: the OCI distribution API 1.1 over a folder.

For demonstrations, tests and sites without a network. `serve` runs it in the foreground, `running`
beside other code. `collect_garbage` removes what no manifest needs from a folder that none serves;
one that is served collects by itself if its settings say so.

See: https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md
"""

from modelpack.server.registry.collecting import collect_garbage
from modelpack.server.registry.listener import running, serve
from modelpack.server.registry.settings import RegistrySettings
from modelpack.server.registry.storage.collector import Collected

__all__ = ["Collected", "RegistrySettings", "collect_garbage", "running", "serve"]
