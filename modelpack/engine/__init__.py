"""The engine: tokens through a model, many slots at a time. Knows no names, stores or templates."""
