"""Jobs that use a server of the `served` engine, each in a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
from faulty_server import answer_to
from projects import ROOT
from recipes import make_recipe

from aligners.configuration.kinds.llms import ServedRecipe

# The pipe keeps the server's standard input open. The shell has child processes to stop.
FAULTY = (
    f"sh -c 'sleep 600 | {sys.executable} {ROOT}/tests/support/faulty_server.py --port {{port}}'"
)
JOB = """
import signal, sys, time
from aligners.configuration.kinds.llms import ServedRecipe
from aligners.core.completions import Decoding, Request
from aligners.llms.engines import load_engine
# If a shell runs the tests in the background, SIGINT is ignored by default.
signal.signal(signal.SIGINT, signal.default_int_handler)
engine = load_engine(ServedRecipe.model_validate_json(sys.argv[1]))
for completion in engine([Request("0", "Hello")], Decoding(5)):
    print(completion.text, flush=True)
if sys.argv[2] == "stay":
    time.sleep(600)
"""


def served(command: str, model: str = "m", **keys: Any) -> ServedRecipe:
    """Return a complete recipe."""
    given = {"engine": "served", "model": model, "revision": "main", "command": command}
    return make_recipe(ServedRecipe, **{**given, "startup_seconds": 600, **keys})


def start_job(
    recipe: ServedRecipe, directory: Path, mode: str, *launcher: str, **environment: str
) -> subprocess.Popen[str]:
    """Start a job that asks a server for one completion, and wait for the completion.

    Args:
        recipe: the recipe of the server.
        directory: working directory of the job.
        mode: "stay" if the job does not end by itself.
        launcher: a command that starts the job; by default nothing.
        environment: variables to set.
    """
    job = subprocess.Popen(
        [*launcher, sys.executable, "-c", JOB, recipe.model_dump_json(), mode],
        cwd=directory,
        env={**os.environ, **environment, "JOB_OF_TEST": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stdout and job.stdout.readline().strip() == answer_to("Hello")
    return job


def running(directory: Path) -> list[psutil.Process]:
    """Return the processes of a test's job, which share an environment variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("JOB_OF_TEST") == str(directory):
                found.append(process)
        except psutil.Error:
            continue
    return found


def check_that_all_end(directory: Path) -> None:
    """Wait until no process of a test's job is running."""
    deadline = time.monotonic() + 300
    while left := running(directory):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)
