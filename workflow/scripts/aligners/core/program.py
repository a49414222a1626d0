"""The entry point of all programs: makes a command line from `main` and prints errors."""

import errno
import logging
import sys
from collections.abc import Callable
from pathlib import Path

import tyro

from aligners.core.errors import UserError

# No result depends on this module, so fingerprints leave it out.
DECIDES = False


def run(main: Callable[..., None]) -> None:
    """Call `main` with arguments from the command line; its signature defines the options.

    After a UserError, or if the disk is full, the program prints only the message and exits with
    status 1.
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
            "and run again. Finished work is kept"
        )
