"""Servers: the only asynchronous code of ModelPack."""
