"""The entry point of all programs: makes a command line from `main` and prints errors."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import tyro

from aligners.core.errors import UserError
from aligners.core.formats import printable_lines
from aligners.core.full_disk import explained_full_disk
from aligners.core.progress import show_progress

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

LAST_LINES = 10
# Status of a program that Ctrl-C ended, as shells have it.
INTERRUPTED = 130
# The packages that an extra of the project installs; all others are in those of the workflow.
EXTRAS = dict.fromkeys(("httpx2", "starlette", "uvicorn", "prometheus_client"), "serve")


def run(main: Callable[..., None]) -> None:
    """Call `main` with arguments from the command line; its signature defines the options."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    show_progress()
    with one_message():
        tyro.cli(main, config=(tyro.conf.OmitArgPrefixes,))


def last_message(log: Path) -> str:
    """Return the error at the end of a program's log, or else the log's last lines.

    An empty text means that there is no log, for instance if the program never started.
    """
    if not log.is_file():
        return ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("error: ")]
    return "\n".join(lines[starts[-1] :] if starts else lines[-LAST_LINES:])


@contextmanager
def one_message() -> Iterator[None]:
    """Exit with status 1 and one message, without a traceback, for errors that a user can cause.

    These are a UserError, a full disk, and a package that is not installed.
    """
    try:
        with explained_full_disk():
            yield
    except UserError as error:
        sys.exit(f"error: {printable_lines(str(error))}")
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "aligners"):
            raise
        extra = EXTRAS.get(package, "workflow,evaluation")
        sys.exit(
            f"error: the package {package} is not installed; install what this command needs: "
            f"pip install 'aligners[{extra}]'"
        )
