"""Find the codec for a manifest."""

from __future__ import annotations

from modelpack.errors import ManifestError
from modelpack.formats.artifact import Codec
from modelpack.formats.modelspec import ModelSpec
from modelpack.formats.ollama import Ollama
from modelpack.oci.manifest import Manifest

CODECS: tuple[Codec, ...] = (ModelSpec(), Ollama())
"""Every format there is, in the order in which they are tried."""


def detect(manifest: Manifest) -> Codec:
    """Return the codec of *manifest*.

    Raises:
        ManifestError: it is in no format that we read.
    """
    for codec in CODECS:
        if codec.matches(manifest):
            return codec
    kind = manifest.artifact_type or manifest.config.media_type
    raise ManifestError(
        f"not a model in a format we read: {kind}",
        hint="we read " + ", ".join(codec.name for codec in CODECS),
    )
