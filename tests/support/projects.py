"""Temporary copies of the project, in which tests run the workflow."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SUPPORT = Path(__file__).parent
MINIATURE = "config/miniature.yaml"


def make_project(directory: Path) -> Path:
    """Copy the files that a run needs, with the miniature configuration; return the directory."""
    shutil.copy(ROOT / "Snakefile", directory)
    for name in ("workflow", "config", "resources", "envs", "profiles"):
        shutil.copytree(ROOT / name, directory / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "tests/miniature/config", directory / "config", dirs_exist_ok=True)
    return directory


def environment(project: Path) -> dict[str, str]:
    """Return the environment of a run that writes only to the project and uses no network."""
    return {
        **os.environ,
        "XDG_CACHE_HOME": str(project / ".cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }


def snakemake_command(*arguments: str, config: str = MINIATURE) -> list[str]:
    """Return the command line of a run on two cores."""
    snakemake = str(Path(sys.executable).parent / "snakemake")
    options = ["--cores", "2", "--scheduler", "greedy", "--show-failed-logs"]
    return [snakemake, *options, "--configfile", config, "--", *arguments]


def run_snakemake(project: Path, *arguments: str, config: str = MINIATURE) -> str:
    """Run Snakemake in the project and return what it printed; it must succeed."""
    status, output = call_snakemake(project, *arguments, config=config)
    assert status == 0, output[-6000:]
    return output


def fail_snakemake(project: Path, *arguments: str, config: str = MINIATURE) -> str:
    """Run Snakemake in the project and return what it printed; it must fail."""
    status, output = call_snakemake(project, *arguments, config=config)
    assert status != 0, output[-6000:]
    return output


def call_snakemake(
    project: Path, *arguments: str, config: str, failed_logs: bool = True
) -> tuple[int, str]:
    """Run Snakemake in the project and return its exit status and what it printed."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    targets = [argument for argument in arguments if not argument.startswith("-")]
    command = snakemake_command(*targets, config=config)
    if not failed_logs:
        command.remove("--show-failed-logs")
    position = command.index("--")
    result = subprocess.run(
        command[:position] + flags + command[position:],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=900,
    )
    return result.returncode, result.stdout + result.stderr
