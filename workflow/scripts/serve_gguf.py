"""Serve a GGUF file on 127.0.0.1 over OpenAI's API, by llama.cpp in the package xllamacpp.

A recipe with the engine `served` uses this program as its `command` where llama.cpp's own program,
llama-server, is not installed.
"""

import os
import signal
from importlib.util import find_spec
from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.program import run


def main(*, model: Path, port: int, parallel: int, context: int) -> None:
    """Serve at most `parallel` requests at a time, each with `context` tokens, until a signal.

    Raises:
        UserError: the package is missing, or the server cannot start.
    """
    if find_spec("xllamacpp") is None:
        raise UserError(
            "the Python package xllamacpp has the server; "
            "run `pip install --only-binary :all: xllamacpp`"
        )
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {model.name}  # Otherwise, replies name the model by its absolute path.
    params.port = port
    params.n_parallel, params.n_ctx = parallel, parallel * context
    # With a thread on every core, any other process makes the threads wait for each other: 118
    # tokens took 307 s instead of 5 s.
    for threads in (params.cpuparams, params.cpuparams_batch):
        threads.n_threads = max(1, cores() - 1)
        threads.poll = 0
    try:
        server = xllamacpp.Server(params)
    except RuntimeError:
        raise UserError(
            f"{model}: the server of llama.cpp cannot start; the lines above this one say why"
        ) from None
    print(f"Serving {model} at {server.listening_address}", flush=True)
    signal.pause()


def cores() -> int:
    """Return the number of cores that this process may use, where the system has such limits."""
    limited = hasattr(os, "sched_getaffinity")
    return len(os.sched_getaffinity(0)) if limited else os.cpu_count() or 1


if __name__ == "__main__":
    run(main)
