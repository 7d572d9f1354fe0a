"""A model at work: files and parameters in, conversation in, text out.

Which files, and where they are, is decided by the caller; nothing here knows the store.
"""
