"""A sample: some requests of a run are sent, and what they take is measured.

The ledger under results/.working keeps the completions, as in a run: a second estimate does not ask
again.
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
    """What the examples of a stage took.

    Attributes:
        usage: as in a usage file (docs/data.md).
        results: by the ids of the requests.
        gpus: how many GPUs the LLM used.
    """

    usage: dict[str, Any]
    results: dict[str, Completion | Failure]
    gpus: int


def take_samples(llm: str, stages: Sequence[Stage]) -> tuple[dict[str, Sample], str]:
    """Ask an LLM in a separate process (see `ask`).

    The end of the process frees memory and GPUs and stops a server before the next LLM loads. If
    the system kills the process for lack of memory, the samples of other LLMs are kept.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(ask, llm, stages).result()
        except BrokenProcessPool:
            return {}, "its process was killed, most often for lack of memory"


def ask(llm: str, stages: Sequence[Stage]) -> tuple[dict[str, Sample], str]:
    """Return samples by the stage's name, and the reason if some are missing (else empty)."""
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
                    raise UserError(f"the sample of {stage.name} has no completion")
                engine = generator.engine
                samples[stage.name] = Sample(generator.usage.summary(), results, gpus)
    # torch raises a RuntimeError if a GPU lacks memory.
    except (UserError, RuntimeError, MemoryError) as error:
        return samples, (str(error) or repr(error)).splitlines()[0]
    return samples, ""


def count_gpus(llm: str) -> int:
    """Return how many GPUs an LLM uses; 0 unless it is loaded or served on this machine."""
    if load_recipe(LLMRecipe, llm).engine not in ON_GPUS:
        return 0
    import torch

    return torch.cuda.device_count()
