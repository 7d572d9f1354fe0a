"""Prompt templates: a conversation in, the text for the model out. Pure; no model is needed."""
