"""The wheel of the core alone: what it imports, and what it says where the workflow is missing."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from projects import ROOT

# What only the extras install.
WORKFLOW = (
    "snakemake",
    "pandas",
    "alpaca_eval",
    "datasets",
    "sklearn",
    "matplotlib",
    "peft",
    "openai",
    "tenacity",
    "psutil",
)
SERVE = ("starlette", "uvicorn", "prometheus_client")
# Runs code as if the packages in a tuple were not installed.
WITHOUT = """
import sys
from importlib.machinery import PathFinder
class Visible(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.split(".")[0] in HIDDEN else PathFinder.find_spec(name, path, target)
sys.meta_path = [Visible if finder is PathFinder else finder for finder in sys.meta_path]
"""


def run_core(
    code: str, directory: Path, hidden: Sequence[str] = WORKFLOW + SERVE
) -> subprocess.CompletedProcess[str]:
    """Run code in Python without some packages; by default, with those of the core alone."""
    return subprocess.run(
        [sys.executable, "-c", f"HIDDEN = {tuple(hidden)}\n{WITHOUT}{code}"],
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


def test_aligners_on_servers_need_only_the_packages_of_the_extra_of_the_server(
    tmp_path: Path,
) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extra = project["optional-dependencies"]["serve"]
    installed = {re.split("[<>=]", package)[0] for package in extra}
    result = run_core(
        "import aligners.correction.server_backends\n",
        tmp_path,
        hidden=[name for name in WORKFLOW if name not in installed],
    )
    assert result.returncode == 0, result.stderr
    missing = run_core(
        "from aligners.configuration.kinds.inference import Inference\n"
        "from aligners.correction.backends import load_backends\n"
        "load_backends([], Inference(engine='openai', endpoint='http://127.0.0.1:9/v1'), 1)\n",
        tmp_path,
    )
    assert "pip install 'aligners[serve]'" in missing.stderr


def test_the_server_names_the_command_that_installs_what_it_needs(tmp_path: Path) -> None:
    result = run_core(
        "from aligners.cli.main import main\n"
        "sys.argv = ['aligners', 'serve', '--squad', 'x']\nmain()\n",
        tmp_path,
    )
    assert result.returncode == 1
    assert "pip install 'aligners[serve]'" in result.stderr
    assert "Traceback" not in result.stderr
