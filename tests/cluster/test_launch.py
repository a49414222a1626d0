"""The launch configuration of training jobs depends on their GPUs and nodes."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from projects import ROOT, fail_snakemake, make_project, run_snakemake

ALIGNER = "results/aligners/gpt2-miniature/ethical/metrics.json"
CONFIGURATIONS = {"cpu", "single", "ddp", "fsdp2"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("launch"))


def launched(project: Path, *flags: str) -> str:
    """Return the command line of the training in a dry run."""
    plan = run_snakemake(project, "--dry-run", "--printshellcmds", *flags, ALIGNER)
    [command] = [line for line in plan.splitlines() if "train_aligner.py" in line]
    return command.strip()


@pytest.mark.parametrize(
    ("gpus", "name", "processes"), [(0, "cpu", 1), (1, "single", 1), (4, "ddp", 4)]
)
def test_the_launch_depends_on_the_gpus_in_the_profile(
    project: Path, gpus: int, name: str, processes: int
) -> None:
    flags = [f"--set-resources=train_aligner:gpu={gpus}"] if gpus else []
    command = launched(project, *flags)
    assert "accelerate launch --quiet " in command
    assert f"--config_file=config/accelerate/{name}.yaml" in command
    assert f"--num_processes={processes} " in command
    # Port 0 means a free port, so that two jobs can run on one node.
    assert "--main_process_port=0" in command


def test_the_recipe_sets_the_configuration_for_several_gpus(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    path = project / "config/backbones/gpt2-miniature.yaml"
    path.write_text(path.read_text() + "accelerate: fsdp2\n")
    command = launched(project, "--set-resources=train_aligner:gpu=2")
    assert "--config_file=config/accelerate/fsdp2.yaml" in command


def several_nodes(project: Path, **resources: object) -> str:
    """Write a profile in which trainings have two nodes, and return its flag."""
    path = project / "profiles/nodes/config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"set-resources": {"train_aligner": {"nodes": 2, **resources}}}))
    return "--profile=profiles/nodes"


def test_srun_starts_a_launcher_on_each_node(project: Path) -> None:
    command = launched(project, several_nodes(project, gpus_per_node=4, mpi="'srun'", tasks=2))
    assert "srun --nodes=2 --ntasks=2 --gpus-per-node=4 python " in command
    assert "--config_file=config/accelerate/ddp.yaml" in command
    assert "--num_machines=2 --num_processes=8 " in command


def launch_on_node(tmp_path: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Start a node's launcher, with a program instead of accelerate that prints its arguments."""
    fake = tmp_path / "accelerate"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    slurm = {
        "SLURM_JOB_ID": "123456",
        "SLURM_STEP_ID": "0",
        "SLURM_NODEID": "0",
        "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1",
    }
    return subprocess.run(
        [sys.executable, ROOT / "workflow/scripts/launch_on_node.py", "--quiet", "train.py"],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", **slurm, **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def port_of(tmp_path: Path, **variables: str) -> int:
    """Return the port that a node's launcher passes to accelerate."""
    result = launch_on_node(tmp_path, **variables)
    assert result.stdout.endswith(" --quiet train.py\n"), result.stderr
    [port] = re.findall(r"--main_process_port=(\d+)", result.stdout)
    return int(port)


def test_all_nodes_of_a_training_use_one_port_and_other_trainings_another(tmp_path: Path) -> None:
    port = port_of(tmp_path)
    assert port_of(tmp_path, SLURM_NODEID="1") == port
    assert port_of(tmp_path, SLURM_STEP_ID="1") != port
    assert port_of(tmp_path, SLURM_JOB_ID="123457") != port


def test_a_port_that_another_program_uses_is_an_error(tmp_path: Path) -> None:
    port = port_of(tmp_path)
    with socket.create_server(("", port)):
        result = launch_on_node(tmp_path)
        assert result.returncode == 1 and not result.stdout
        assert result.stderr.startswith("error: ") and str(port) in result.stderr
        assert "Traceback" not in result.stderr
        # Only the first node listens at the port.
        assert port_of(tmp_path, SLURM_NODEID="1") == port


def test_several_nodes_without_a_launcher_are_an_error(project: Path) -> None:
    output = fail_snakemake(project, "--dry-run", several_nodes(project), ALIGNER)
    assert "2 nodes" in output and "mpi, tasks, gpus_per_node" in output


def test_accelerate_loads_every_configuration() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    files = {path.stem: path for path in (ROOT / "config/accelerate").glob("*.yaml")}
    assert set(files) == CONFIGURATIONS
    for path in files.values():
        loaded = load_config_from_file(str(path))
        assert loaded.num_processes == 1
        assert yaml.safe_load(path.read_text())["num_machines"] == 1
