"""The command `aligners serve`."""

import logging
import sys

from aligners.core.errors import UserError
from aligners.core.program import INTERRUPTED
from aligners.serving.options import ServeOptions

# Packages of the extra `serve`.
NEEDED = ("starlette", "uvicorn", "httpx2", "prometheus_client")


def start_server(options: ServeOptions) -> None:
    """Serve a squad until the process is stopped.

    Raises:
        UserError: a package is missing, or the server cannot start.
    """
    try:
        from aligners.serving.server import serve
    except ModuleNotFoundError as error:
        if error.name not in NEEDED:
            raise
        raise UserError(
            f"the package {error.name} is not installed; install what a server needs: "
            "pip install 'aligners[serve]'"
        ) from None
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    for noisy in ("httpx2", "httpcore2", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        serve(options)
    except KeyboardInterrupt:  # while the squad is downloaded; later, the server ends by itself
        print(file=sys.stderr)
        sys.exit(INTERRUPTED)
