"""What every program of the workflow shares: a command line from `main`, and error messages."""

import errno
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import tyro

from aligners.core.errors import UserError

# No result depends on this module: fingerprints leave it out.
DECIDES = False


def run(main: Callable[..., None]) -> None:
    """Call `main` with the command line that its signature describes.

    A UserError, and a disk that is full, end the program with exit status 1 and a message alone.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        sys.exit(
            f"error: {error.filename or Path.cwd()}: the disk is full; free some space there "
            "and run again: what was made so far is kept"
        )
