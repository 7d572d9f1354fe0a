"""`python -m modelpack`."""

from modelpack.cli.start import run

if __name__ == "__main__":
    run()
