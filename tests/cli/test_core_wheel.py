"""The wheel of the core alone: what it imports, and what it says where the workflow is missing."""

import subprocess
import sys
from pathlib import Path

from projects import ROOT

# What only the extras install.
WORKFLOW = ("snakemake", "pandas", "alpaca_eval", "datasets", "sklearn", "matplotlib", "openai")
SERVE = ("starlette", "uvicorn", "prometheus_client")
# Runs code as if these packages were not installed.
WITHOUT = f"""
import sys
from importlib.machinery import PathFinder
class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        hidden = name.split(".")[0] in {WORKFLOW + SERVE}
        return None if hidden else PathFinder.find_spec(name, path, target)
sys.meta_path = [Visible if finder is PathFinder else finder for finder in sys.meta_path]
"""


def run_core(code: str, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run code in Python with the packages of the core alone."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT + code],
        cwd=directory,
        env={"PYTHONPATH": str(ROOT / "workflow/scripts"), "PATH": ""},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_squad_is_imported_without_the_workflow(tmp_path: Path) -> None:
    result = run_core(
        "from aligners.correction.aligner import Aligner\n"
        "from aligners import Squad\n"
        "from aligners.inspectors.inspector import Inspector\n",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr


def test_the_command_shows_rows_without_the_workflow(tmp_path: Path) -> None:
    rows = str(ROOT / "docs/examples/squad.jsonl")
    result = run_core(
        f"from aligners.cli.main import main\nsys.argv = ['aligners', 'show', {rows!r}]\nmain()\n",
        tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "question" in result.stdout


def test_a_command_that_needs_the_workflow_names_the_command_that_installs_it(
    tmp_path: Path,
) -> None:
    result = run_core(
        "from aligners.cli.main import main\nsys.argv = ['aligners', 'estimate']\nmain()\n",
        tmp_path,
    )
    assert result.returncode == 1
    assert "pip install 'aligners[workflow,evaluation]'" in result.stderr
    assert "Traceback" not in result.stderr


def test_the_server_names_the_command_that_installs_what_it_needs(tmp_path: Path) -> None:
    result = run_core(
        "from aligners.cli.main import main\n"
        "sys.argv = ['aligners', 'serve', '--squad', 'x']\nmain()\n",
        tmp_path,
    )
    assert result.returncode == 1
    assert "pip install 'aligners[serve]'" in result.stderr
    assert "Traceback" not in result.stderr
