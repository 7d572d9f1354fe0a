"""Artifact formats as codecs between manifests and one neutral `ModelArtifact`."""
