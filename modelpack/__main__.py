"""`python -m modelpack`."""

from modelpack.cli.app import run

if __name__ == "__main__":
    run()
