"""The two input formats of aligners, on SmolLM2 and three seeds: `plain` and `paper`.

Aligners of the policy `brief` are trained with each format, by the recipe of `make real`. Each
corrects the held-out responses of SmolLM2, and the rule of `brief` decides.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import yaml
from figures import Figure, Figures
from project_copy import PROGRAMS, environment, project_copy

from aligners.configuration import results
from aligners.configuration.seeds import names_with_seeds
from aligners.core.formats import decimal
from aligners.core.rows import read_json, read_rows
from aligners.core.spread import spread
from aligners.evaluation.exact_rules import RULES

FORMATS = ("plain", "paper")
SEEDS = (0, 1, 2)
CRITERION, RECIPE, LLM, DATASET = (
    "brief",
    "smollm2-135m-instruct",
    "smollm2-135m-instruct",
    "own_questions",
)


def measure() -> Figures:
    """Train and apply the aligners in a temporary copy of the project; return their figures."""
    with project_copy() as project:
        write_recipes(project)
        backbones = [name for format_ in FORMATS for name in names_of(format_)]
        targets = [str(corrections(name)) for name in backbones]
        command = [PROGRAMS / "snakemake", "--profile", "profiles/real", *targets]
        subprocess.run(
            [*command, "--configfile", "config/real.yaml", "config/input_formats.yaml"],
            cwd=project,
            env=environment(project),
            check=True,
        )
        return {
            f"{format_}: {name}": Figure(text)
            for format_ in FORMATS
            for name, text in format_figures(project, names_of(format_)).items()
        }


def write_recipes(project: Path) -> None:
    """Write a backbone for each format, and a configuration with them."""
    recipe = yaml.safe_load((project / f"config/backbones/{RECIPE}.yaml").read_text())
    for format_ in FORMATS:
        # The least share of ended corrections must not stop what is to be compared.
        values = {**recipe, "format": format_, "least_ended": 0.0}
        path = project / f"config/backbones/{RECIPE}-{format_}.yaml"
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
    configuration = {
        "name": "input-formats",
        "criteria": [CRITERION],
        "backbones": [f"{RECIPE}-{format_}" for format_ in FORMATS],
        "seeds": list(SEEDS),
        "systems": [],
        "external": [],
    }
    path = project / "config/input_formats.yaml"
    path.write_text(yaml.safe_dump(configuration), encoding="utf-8")


def names_of(format_: str) -> list[str]:
    """Return the names of the aligners' backbones, one for each seed."""
    return names_with_seeds([f"{RECIPE}-{format_}"], SEEDS)


def corrections(backbone: str) -> Path:
    """Return the file of an aligner's corrections."""
    names = {"dataset": DATASET, "llm": LLM, "backbone": backbone, "system": CRITERION}
    return results.ALIGNED.path(**names)


def format_figures(project: Path, backbones: Sequence[str]) -> dict[str, str]:
    """Return the mean of each figure over the seeds, with its standard deviation."""
    by_seed = [seed_figures(project, backbone) for backbone in backbones]
    found = {name: spread(figures[name] for figures in by_seed) for name in by_seed[0]}
    return {
        name: f"{decimal(values.mean, 3)} ± {decimal(values.sd, 3)}"
        for name, values in found.items()
    }


def seed_figures(project: Path, backbone: str) -> dict[str, float]:
    """Return the figures of one aligner."""
    path = results.ALIGNER_METRICS.path(backbone=backbone, aligner=CRITERION)
    metrics: dict[str, Any] = read_json(project / path)
    rows = read_rows(project / corrections(backbone), needs=("question", "aligned_response"))
    keeps = RULES[CRITERION]
    return {
        "validation loss": metrics["validation_loss"],
        "loss of the end token, nats": metrics["end_loss"],
        "validation corrections after which the end token leads": metrics["ended_share"],
        "held-out corrections that keep the policy": fmean(
            keeps(row["question"], row["aligned_response"]) for row in rows
        ),
    }
