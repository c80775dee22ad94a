"""Console entry: `python server.py` serves; the installed `livery` command has every verb."""

from __future__ import annotations

import sys

from stream.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["serve", *sys.argv[1:]]))
