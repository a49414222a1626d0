"""The demo: the whole workflow on the closed world, then its scorecard."""

import resource
import subprocess
import sys
import time
from pathlib import Path

from aligners.cli.scorecard import RUN, SCORECARD, print_scorecard
from aligners.configuration.workflow_files import WORKFLOW
from aligners.core.errors import UserError
from aligners.core.rows import write_json

TARGETS = ["results/alpaca_eval/all", str(SCORECARD)]


def current_commit() -> str | None:
    """Return the checked-out commit, or None outside a git checkout."""
    result = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=WORKFLOW, capture_output=True, text=True, check=False
    )
    return result.stdout.strip() or None


def run_demo() -> None:
    """Run the workflow on the closed world and print its scorecard.

    results/closed_world/run.json records time and memory of the run that made the files. A later
    run with nothing to do does not change it.

    Raises:
        UserError: the working directory has no Snakefile.
    """
    if not Path("Snakefile").is_file():
        raise UserError(f"{Path.cwd()}: no Snakefile; run this in the directory of the project")
    time_before = SCORECARD.stat().st_mtime_ns if SCORECARD.exists() else None
    started = time.monotonic()
    snakemake = str(Path(sys.executable).parent / "snakemake")
    result = subprocess.run([snakemake, "--profile", "profiles/demo", *TARGETS], check=False)
    if result.returncode:
        sys.exit(result.returncode)
    if SCORECARD.stat().st_mtime_ns != time_before:
        # Peak memory of the largest ended descendant process, in KiB on Linux.
        peak_kib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
        write_json(
            RUN,
            {
                "wall_seconds": round(time.monotonic() - started, 1),
                "peak_rss_mib": round(peak_kib / 1024),
                "commit": current_commit(),
            },
        )
    print_scorecard()
