"""Runs of the workflow that are killed again and again: the whole group, and Snakemake alone.

Two jobs ask a server on this machine, which sends faulty replies. Every row must arrive once, with
its own text, and no row that was written may be requested again.
"""

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure, Figures, at_least, at_most
from project_copy import ROOT

sys.path.insert(0, str(ROOT / "tests/support"))
from killed_runs import KilledRuns, lamp_server

GROUP_KILLS, ALONE_KILLS = 20, 10
SERVER = ("--latency", "0.2", "--fault-share", "0.3", "--retry-after", "0.1")
# Two thirds of the kills come after a random number of new rows, the others at a random moment of a
# run's first seconds.
MOST_NEW_ROWS, FIRST_SECONDS = 80, 4.0


def measure(rows: int = 3000) -> Figures:
    """Kill runs that request `rows` responses, and count the faults."""
    kills = [True] * GROUP_KILLS + [False] * ALONE_KILLS
    moments = random.Random(0)
    moments.shuffle(kills)
    asked_again = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        with lamp_server(directory, *SERVER) as (endpoint, journal):
            runs = KilledRuns(directory / "project", endpoint, journal, rows)
            for group in kills:
                written, seen = runs.written_prompts(), len(runs.prompts())
                runs.unlock()
                run = runs.start()
                if moments.random() < 2 / 3:
                    runs.wait_for_rows(run, moments.randint(1, MOST_NEW_ROWS))
                else:
                    time.sleep(moments.uniform(0, FIRST_SECONDS))
                runs.kill(run, signal.SIGKILL, group)
                asked_again += sum(prompt in written for prompt in runs.prompts()[seen:])
            written, seen = runs.written_prompts(), len(runs.prompts())
            runs.finish()
            asked_again += sum(prompt in written for prompt in runs.prompts()[seen:])
        return {
            "kills of the whole group": Figure(GROUP_KILLS, at_least(GROUP_KILLS)),
            "kills of Snakemake alone": Figure(ALONE_KILLS, at_least(ALONE_KILLS)),
            "rows": Figure(rows),
            "rows written before the last run": Figure(len(written)),
            **{f"rows {fault}": Figure(n, at_most(0)) for fault, n in runs.faults().items()},
            "written rows requested again": Figure(asked_again, at_most(0)),
        }
