"""One verb each: what the command line does is one call here."""
