"""Fixtures of the tests on a real cluster."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster
from projects import make_project, run_snakemake
from workflow_runs import finish, prepare, start


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A cluster that runs for all tests, and is the one that commands talk to."""
    # A short path, for the sockets.
    directory = Path(tempfile.mkdtemp(prefix="aligners-slurm-", dir="/tmp"))
    made = Cluster(directory)
    try:
        made.start()
        os.environ.update(made.environment)
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def whole_run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the closed world in miniature went through the cluster, end to end."""
    project = prepare(make_project(tmp_path_factory.mktemp("whole")))
    finish(start(project, "results/alpaca_eval/all"), seconds=900)
    return project


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose data are made, here and without the cluster; the rest is to be run."""
    project = prepare(make_project(tmp_path_factory.mktemp("data")))
    run_snakemake(project, "results/synthetic/all")
    return project


@pytest.fixture(autouse=True)
def all_nodes(cluster: Cluster) -> Iterator[None]:
    """After a test that took a node away, there are all again."""
    yield
    cluster.start_missing_nodes()


@pytest.fixture
def project(data: Path, tmp_path: Path) -> Path:
    """A copy of the project whose data are made."""
    subprocess.run(["cp", "--archive", f"{data}/.", tmp_path], check=True)
    return tmp_path
