"""A training on two nodes with two processes each gives the result of one process."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster
from projects import run_snakemake
from workflow_runs import PROFILE, finish, start

from aligners.core.rows import read_json

ALIGNER = Path("results/aligners/gpt2-miniature/ethical")


def losses(metrics: dict[str, Any]) -> list[float]:
    """Return the training loss of each step."""
    return [entry["train_loss"] for entry in metrics["losses"] if "train_loss" in entry]


def test_a_training_on_two_nodes_gives_the_losses_of_one_process(
    cluster: Cluster, project: Path
) -> None:
    # Processes would apply different dropout masks.
    with (project / "config/backbones/gpt2-miniature.yaml").open("a") as recipe:
        recipe.write("dropout: 0\n")
    run_snakemake(project, str(ALIGNER / "metrics.json"))
    alone = read_json(project / ALIGNER / "metrics.json")
    for path in (project / ALIGNER).glob("*.*"):
        path.unlink()
    profile = yaml.safe_load((project / PROFILE).read_text())
    profile["set-resources"]["train_aligner"] = {
        "mpi": "'srun'",
        "nodes": 2,
        "tasks": 2,
        "gpus_per_node": 2,
        "slurm_extra": "'--gpus-per-node=2'",
        "mem_mb": 8000,
        "runtime": 10,
    }
    (project / PROFILE).write_text(yaml.safe_dump(profile))
    finish(start(project, str(ALIGNER / "metrics.json")))
    together = read_json(project / ALIGNER / "metrics.json")
    assert together["steps"] == alone["steps"]
    assert losses(together) == pytest.approx(losses(alone), rel=1e-4)
    assert together["validation_loss"] == pytest.approx(alone["validation_loss"], rel=1e-4)
    hardware = read_json(project / ALIGNER / "model/training.json")["hardware"]
    assert hardware["processes"] == 4
    accounted = cluster.output(
        "sacct", "--noheader", "--allocations", "--format=AllocTRES%80,NodeList"
    )
    assert "gres/gpu=4" in accounted.splitlines()[-1] and "n[1-2]" in accounted.splitlines()[-1]
