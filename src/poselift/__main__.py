"""`python -m poselift` is the command `poselift`."""

from poselift.cli import run

if __name__ == "__main__":
    run()
