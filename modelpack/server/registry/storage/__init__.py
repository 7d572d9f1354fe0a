"""The registry's folder: blobs, uploads, manifests and referrers. Synchronous, and no HTTP."""
