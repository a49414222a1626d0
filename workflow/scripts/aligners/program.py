"""What every program of the workflow shares: a command line from `main`, and error messages."""

import logging
import sys
from collections.abc import Callable

import tyro

from aligners.errors import UserError


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line that its signature describes.

    A UserError ends the program with exit status 1 and its message alone.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))
    except UserError as error:
        sys.exit(f"error: {error}")
