"""The entry point of all programs: makes a command line from `main` and prints errors."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import tyro

from aligners.core.errors import UserError
from aligners.core.full_disk import explained_full_disk

# No result depends on this module, so fingerprints leave it out.
DECIDES = False


def run(main: Callable[..., None]) -> None:
    """Call `main` with arguments from the command line; its signature defines the options."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    with one_message():
        tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))


@contextmanager
def one_message() -> Iterator[None]:
    """Exit with status 1 and one message, without a traceback, for errors that a user can cause.

    These are a UserError, a full disk, and a package that is not installed.
    """
    try:
        with explained_full_disk():
            yield
    except UserError as error:
        sys.exit(f"error: {error}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "aligners"):
            raise
        sys.exit(
            f"error: the package {package} is not installed; install what the workflow needs: "
            "pip install 'aligners[workflow,evaluation]'"
        )
