"""Which models are loaded, for whom, and for how long."""
