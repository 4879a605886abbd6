"""``python -m tidemill``: the same as ``tidemill``."""

from tidemill.cli.main import run

if __name__ == "__main__":
    run()
