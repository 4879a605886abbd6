"""``python -m tidemill``: the same as ``tidemill``."""

from tidemill.cli.main import main

if __name__ == "__main__":
    main(prog_name="tidemill")
