"""A temporary copy of the project, so that a measurement does not change the checkout."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(sys.executable).parent
DIRECTORIES = ("workflow", "config", "resources", "envs", "profiles")


@contextmanager
def project_copy() -> Iterator[Path]:
    """Yield a directory with the files that a run needs, and remove it afterwards."""
    with tempfile.TemporaryDirectory(prefix="aligners-benchmark-") as name:
        directory = Path(name)
        shutil.copy(ROOT / "Snakefile", directory)
        for part in DIRECTORIES:
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(ROOT / part, directory / part, ignore=ignored)
        yield directory


def environment(project: Path) -> dict[str, str]:
    """Return the environment of a run in the copy, with Snakemake's cache inside the copy."""
    return {**os.environ, "XDG_CACHE_HOME": str(project / ".cache")}
