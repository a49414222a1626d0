"""A sample of the requests of a run, asked for real: what they took, and what came back.

Completions are kept under results/.working like those of a run, so that a second estimate asks for
nothing again.
"""

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

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
        usage: the sums of a usage file (docs/data.md).
        results: by the requests' ids.
        gpus: how many GPUs the LLM computed on.
    """

    usage: dict[str, Any]
    results: dict[str, Completion | Failure]
    gpus: int


def take_samples(llm: str, stages: Sequence[Stage]) -> tuple[dict[str, Sample], str]:
    """Ask an LLM in a process of its own (see `ask`).

    What it holds of memory and GPUs, and a server that it started, are gone before the next LLM
    comes; and one that is killed for want of memory takes nothing with it.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            return pool.submit(ask, llm, stages).result()
        except BrokenProcessPool:
            return {}, "its process was killed, most often for want of memory"


def ask(llm: str, stages: Sequence[Stage]) -> tuple[dict[str, Sample], str]:
    """Return a sample of each stage by its name, and why some are missing or an empty text."""
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
                    raise UserError(f"no request of the sample of {stage.name} was answered")
                engine = generator.engine
                samples[stage.name] = Sample(generator.usage.summary(), results, gpus)
    # A GPU without enough memory is a RuntimeError.
    except (UserError, RuntimeError, MemoryError) as error:
        return samples, (str(error) or repr(error)).splitlines()[0]
    return samples, ""


def count_gpus(llm: str) -> int:
    """Return how many GPUs an LLM computes on that is loaded or served on this machine."""
    if load_recipe("llms", llm)["engine"] not in ON_GPUS:
        return 0
    import torch

    return torch.cuda.device_count()
