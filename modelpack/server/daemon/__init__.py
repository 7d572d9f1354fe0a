"""The model server: Ollama's, OpenAI's and Anthropic's APIs over the models in a store."""
