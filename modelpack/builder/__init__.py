"""Modelfile and base to artifact."""
