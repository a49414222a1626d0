"""Sends a sample of a run's requests and measures tokens and time.

As in a run, the ledger under results/.working keeps the completions, so a second estimate does not
send the same requests again.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Failure
from aligners.core.errors import UserError
from aligners.estimate.stages import Stage
from aligners.llms.generator import Generator

OUTPUTS = Path("results/estimate")
LOGS = Path("logs/estimate")
ON_GPUS = ("transformers", "served")


@dataclass(frozen=True)
class Sample:
    """The measurements of a stage's examples.

    Attributes:
        usage: the content of a usage file (docs/data.md).
        results: completions and failures by id of the request.
        gpus: number of GPUs that the LLM used.
    """

    usage: dict[str, Any]
    results: dict[str, Completion | Failure]
    gpus: int


def take_samples(llm: str, stages: Sequence[Stage]) -> tuple[dict[str, Sample], str]:
    """Run `ask` in a separate process.

    When the process ends, memory and GPUs are free and a server is stopped before the next LLM
    loads. If the process is killed for lack of memory, the samples of other LLMs are kept.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(ask, llm, stages).result()
        except BrokenProcessPool:
            return (
                {},
                "the process was killed, probably for lack of memory; use a smaller model or more "
                "memory",
            )


def ask(llm: str, stages: Sequence[Stage]) -> tuple[dict[str, Sample], str]:
    """Return samples by stage name, and the reason why some are missing (empty if none is)."""
    samples: dict[str, Sample] = {}
    engine = None
    gpus = count_gpus(llm)
    LOGS.mkdir(parents=True, exist_ok=True)
    try:
        with (LOGS / f"{llm}.log").open("w", encoding="utf-8") as log, redirect_stderr(log):
            for stage in stages:
                generator = Generator(llm, OUTPUTS / stage.name / f"{llm}.jsonl")
                generator.engine = engine
                results = generator.complete_all(
                    stage.examples, stage.decoding, f"{stage.name}, sample"
                )
                if not generator.usage.completions:
                    raise UserError(f"the sample of {stage.name} has no completion; read the log")
                engine = generator.engine
                samples[stage.name] = Sample(generator.usage.summary(), results, gpus)
    # torch raises a RuntimeError when a GPU is out of memory.
    except (UserError, RuntimeError, MemoryError) as error:
        return samples, (str(error) or repr(error)).splitlines()[0]
    return samples, ""


def count_gpus(llm: str) -> int:
    """Return the number of GPUs an LLM uses; 0 if it does not run on this machine."""
    if load_recipe(LLMRecipe, llm).engine not in ON_GPUS:
        return 0
    import torch

    return torch.cuda.device_count()
