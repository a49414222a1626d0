"""Training jobs are started with the launch configuration that their GPUs call for."""

from pathlib import Path

import pytest
import yaml
from projects import ROOT, make_project, run_snakemake

ALIGNER = "results/aligners/gpt2-miniature/ethical/metrics.json"
CONFIGURATIONS = {"cpu", "single", "ddp", "fsdp2"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_project(tmp_path_factory.mktemp("launch"))


def launched(project: Path, *flags: str) -> str:
    """Return the command line of the training that a dry run plans."""
    plan = run_snakemake(project, "--dry-run", "--printshellcmds", *flags, ALIGNER)
    [command] = [line for line in plan.splitlines() if "train_aligner.py" in line]
    return command.strip()


@pytest.mark.parametrize(
    ("gpus", "name", "processes"), [(0, "cpu", 1), (1, "single", 1), (4, "ddp", 4)]
)
def test_the_profile_gives_the_number_of_gpus(
    project: Path, gpus: int, name: str, processes: int
) -> None:
    flags = [f"--set-resources=train_aligner:gpu={gpus}"] if gpus else []
    command = launched(project, *flags)
    assert "accelerate launch --quiet " in command
    assert f"--config_file=config/accelerate/{name}.yaml" in command
    assert f"--num_processes={processes} " in command
    # Two jobs on one node take different ports.
    assert "--main_process_port=0" in command


def test_the_recipe_names_the_configuration_for_several_gpus(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    path = project / "config/backbones/gpt2-miniature.yaml"
    path.write_text(path.read_text() + "accelerate: fsdp2\n")
    command = launched(project, "--set-resources=train_aligner:gpu=2")
    assert "--config_file=config/accelerate/fsdp2.yaml" in command


def several_nodes(project: Path, **resources: object) -> str:
    """Write a profile that gives trainings several nodes, and return the flag that names it."""
    path = project / "profiles/nodes/config.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump({"set-resources": {"train_aligner": {"nodes": 2, **resources}}}))
    return "--profile=profiles/nodes"


def test_several_nodes_have_a_launcher_each(project: Path) -> None:
    command = launched(project, several_nodes(project, gpus_per_node=4, mpi="'srun'", tasks=2))
    assert "srun --nodes=2 --ntasks=2 --gpus-per-node=4 python " in command
    assert "--config_file=config/accelerate/ddp.yaml" in command
    assert "--num_machines=2 --num_processes=8 " in command


def test_several_nodes_without_a_launcher(project: Path) -> None:
    with pytest.raises(AssertionError, match="over 2 nodes also needs mpi, tasks"):
        launched(project, several_nodes(project))


def test_every_configuration_is_one_of_accelerate() -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    files = {path.stem: path for path in (ROOT / "config/accelerate").glob("*.yaml")}
    assert set(files) == CONFIGURATIONS
    for path in files.values():
        loaded = load_config_from_file(str(path))
        assert loaded.num_processes == 1
        assert yaml.safe_load(path.read_text())["num_machines"] == 1
