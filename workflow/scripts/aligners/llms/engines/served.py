"""The `served` engine: starts a server for the job and uses it like any endpoint.

The server listens only on 127.0.0.1. It stops when the job ends, even if the job is killed
(server_guard.py).
"""

import atexit
import logging
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import httpx2
import torch

from aligners.configuration.kinds.inference import ADAPTERS
from aligners.configuration.kinds.llms import ServedRecipe
from aligners.configuration.kinds.pretrained import find_model
from aligners.configuration.workflow_files import WORKFLOW
from aligners.core.completions import Engine
from aligners.core.errors import UserError
from aligners.llms.engines import server_guard as guard
from aligners.llms.engines.openai import Endpoint

logger = logging.getLogger(__name__)

LOGS = Path("logs/servers")
LAST_LINES = 15
NO_ADAPTERS: Mapping[str, Path] = MappingProxyType({})
FIRST_POLL, LONGEST_POLL = 0.1, 2.0
# After the end of the server, its guard stops the server's child processes, and then ends.
LONGEST_END_SECONDS = 3 * guard.GRACE_SECONDS


def load(recipe: ServedRecipe) -> Engine:
    """Start the server of a recipe, wait until it is ready, and return its engine.

    Raises:
        UserError: the command cannot be run, or the server ends or is not ready in time.
    """
    server = Server(recipe)
    server.wait_until_ready()
    # Servers know a local model by its path in the command: `./m` is `m` there.
    named = recipe.model_copy(update={"model": str(find_model(recipe.model))})
    return server.endpoint(named).complete


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_command(recipe: ServedRecipe, port: int, adapters: Mapping[str, Path]) -> list[str]:
    """Return the words of the recipe's command with its placeholders replaced.

    {adapters} is a word `name=directory` for each adapter.

    Raises:
        UserError: the program of the command is not installed.
    """
    named = [f"{name}={path}" for name, path in adapters.items()]
    values = {
        "{model}": str(find_model(recipe.model)),
        "{revision}": recipe.revision or "main",
        "{port}": str(port),
        "{workflow}": str(WORKFLOW),
        "{gpus}": str(max(1, torch.cuda.device_count())),
        ADAPTERS: shlex.join(named),  # within a word, as in the text of `bash -c`
    }
    words: list[str] = []
    for word in shlex.split(recipe.command):
        words += named if word == ADAPTERS else [word]
    for name, value in values.items():
        words = [word.replace(name, value) for word in words]
    if shutil.which(words[0]) is None:
        raise UserError(
            f"{words[0]}: no such program; install the server (docs/engines.md), "
            "or correct the key command of the recipe"
        )
    return words


class Server:
    """A running server with its port and its log."""

    def __init__(
        self, recipe: ServedRecipe, name: str = "", adapters: Mapping[str, Path] = NO_ADAPTERS
    ):
        """Start the server. Its output goes to a separate log. It stops with this process.

        Args:
            recipe: how the server is started.
            name: of the log; by default the model's.
            adapters: directories by name, for {adapters} in the command.

        Raises:
            UserError: the command cannot be run.
        """
        self.recipe, self.port = recipe, free_port()
        LOGS.mkdir(parents=True, exist_ok=True)
        self.log = LOGS / f"{name or Path(recipe.model).name}-{os.getpid()}.log"
        command = server_command(recipe, self.port, adapters)
        logger.info("Starting %s; its log is %s", shlex.join(command), self.log)
        with self.log.open("ab") as log:
            self.guard = subprocess.Popen(
                [sys.executable, "-P", guard.__file__, *command],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                close_fds=False,  # The leases of the job's GPUs last until the server ends.
            )
        atexit.register(self.stop)

    def endpoint(self, recipe: ServedRecipe) -> Endpoint:
        """Return a client for a model on this server, which the recipe names."""
        url = f"http://127.0.0.1:{self.port}/v1"
        # A proxy from the environment cannot reach 127.0.0.1 of this machine.
        return Endpoint(
            recipe, url, "none", trust_environment=False, check_server=self.check_after_failure
        )

    def wait_until_ready(self) -> None:
        """Poll the server's health path until it returns HTTP status 200.

        Raises:
            UserError: the server has ended, or is not ready within `startup_seconds`.
        """
        url = f"http://127.0.0.1:{self.port}{self.recipe.health}"
        deadline = time.monotonic() + self.recipe.startup_seconds
        pause = FIRST_POLL
        with httpx2.Client(trust_env=False, timeout=LONGEST_POLL) as client:
            while True:
                self.check()
                try:
                    if client.get(url).status_code == httpx2.codes.OK:
                        return
                except httpx2.TransportError:
                    pass
                if time.monotonic() > deadline:
                    self.stop()
                    limit = self.recipe.startup_seconds
                    raise UserError(
                        self.message(f"was not ready within {limit:g} seconds (startup_seconds)")
                    )
                time.sleep(pause)
                pause = min(2 * pause, LONGEST_POLL)

    @property
    def has_ended(self) -> bool:
        """Whether the server is not running any more."""
        return self.guard.poll() is not None

    def check(self) -> None:
        """Check that the server is running.

        Raises:
            UserError: the server has ended. The message has the last lines of its log.
        """
        status = self.guard.poll()
        if status is not None:
            raise UserError(self.message(f"ended {describe(status)}"))

    def check_after_failure(self, down: str | None) -> None:
        """Check that the server is running, after a connection to it failed.

        Args:
            down: why the server counts as down; None if it does not. If it does, the end of its
                guard is awaited, which is later than that of the server.

        Raises:
            UserError: the server has ended, or is down.
        """
        if down is not None:
            try:
                self.guard.wait(LONGEST_END_SECONDS)
            except subprocess.TimeoutExpired:
                raise UserError(self.message(f"runs, but does not reply ({down})")) from None
        self.check()

    def message(self, problem: str) -> str:
        """Return a message about the server with the last lines of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        first = (
            f"the server of {self.recipe.model} {problem}; find the cause in its log and "
            f"correct the recipe. The last lines of {self.log}:"
        )
        return "\n  ".join([first, *lines])

    def stop(self) -> None:
        """Stop the server and wait for its end."""
        atexit.unregister(self.stop)
        if self.guard.stdin:
            self.guard.stdin.close()
        self.guard.wait()


def describe(status: int) -> str:
    """Return how a server ended, by its exit status."""
    if status == guard.SIGNALLED + signal.SIGKILL:
        return "by SIGKILL, as when the memory is used up"
    if status - guard.SIGNALLED in set(signal.Signals):
        return f"by {signal.Signals(status - guard.SIGNALLED).name}"
    return f"with status {status}"
