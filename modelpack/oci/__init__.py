"""OCI values: bytes in, values out. No files, no network."""
