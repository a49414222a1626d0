"""Fixtures of the tests on a real cluster."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cluster import Cluster
from projects import MINIATURE, make_project, run_snakemake
from tiny_models import make_model
from workflow_runs import finish, prepare, start


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster for all tests, which Slurm's commands use."""
    # A short path, since the paths of sockets are limited.
    directory = Path(tempfile.mkdtemp(prefix="aligners-slurm-", dir="/tmp"))
    cluster = Cluster(directory)
    try:
        cluster.start()
        os.environ.update(cluster.environment)
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def whole_run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the whole miniature workflow has run on the cluster."""
    project = prepare(make_project(tmp_path_factory.mktemp("whole")))
    config = yaml.safe_load((project / MINIATURE).read_text())
    config["systems"] = ["squad", "squad-paper"]
    (project / MINIATURE).write_text(yaml.safe_dump(config))
    finish(start(project, "results/alpaca_eval/all", "results/judged/all"), seconds=900)
    return project


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with generated data, and recipes for a slow training and a slow LLM."""
    project = prepare(make_project(tmp_path_factory.mktemp("data")))
    backbone = yaml.safe_load((project / "config/backbones/gpt2-miniature.yaml").read_text())
    slow = {**backbone, "epochs": 24, "patience": 1000, "evaluations_per_epoch": 1}
    (project / "config/backbones/gpt2-slow.yaml").write_text(yaml.safe_dump(slow))
    llm = {
        "engine": "transformers",
        "model": str(make_model("gpt2", project / "tiny-model")),
        "revision": "main",
        "batch_tokens": 600,
        "responses": {"prompt": "Question: {question}\nAnswer:", "max_new_tokens": 100},
    }
    (project / "config/llms/local.yaml").write_text(yaml.safe_dump(llm))
    # Enough questions for the generation to last until the training's first checkpoint.
    questions = [f"What is the colour of lamp {number}?" for number in range(1200)]
    (project / "many.csv").write_text("\n".join(["prompt", *questions]))
    dataset = {"source": "file", "path": "many.csv", "columns": {"question": "prompt"}}
    (project / "config/datasets/many.yaml").write_text(yaml.safe_dump(dataset))
    config = yaml.safe_load((project / MINIATURE).read_text())
    more = {"backbones": [*config["backbones"], "gpt2-slow"], "llms": [*config["llms"], "local"]}
    more["datasets"] = [*config["datasets"], "many"]
    (project / MINIATURE).write_text(yaml.safe_dump({**config, **more}))
    rows = "results/synthetic/ethical/aligner/train.jsonl"
    run_snakemake(project, rows, "results/inputs/many.jsonl")
    return project


@pytest.fixture(autouse=True)
def all_nodes(cluster: Cluster) -> Iterator[None]:
    """Restart nodes that a test has stopped."""
    yield
    cluster.start_missing_nodes()


@pytest.fixture
def project(data: Path, tmp_path: Path) -> Path:
    """A copy of the project with generated data."""
    subprocess.run(["cp", "--archive", f"{data}/.", tmp_path], check=True)
    return tmp_path
