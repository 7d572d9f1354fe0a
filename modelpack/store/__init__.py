"""The local content-addressed store, in Ollama's layout extended to nested repositories.

::

    <models>/blobs/sha256-<64 hex>                  content, named by what it is
    <models>/manifests/<host>/<repository…>/<tag>   one manifest, bytes as built or received
    <models>/ingest/…                               blobs on their way in
    <models>/pulls/sha256-<64 hex>                  the manifest of a pull that has not ended
    <models>/.lock                                  shared for builders and pullers
"""
