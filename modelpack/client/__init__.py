"""A client of the model server, over the API that it shares with Ollama."""
