"""Runs that are killed: their jobs end with them, and no row is lost, mixed or paid for twice."""

import signal
from pathlib import Path

import pytest
from killed_runs import CONFIG, TARGET, KilledRuns, lamp_server
from projects import call_snakemake

ROWS = 200


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_jobs_end_with_snakemake(tmp_path: Path, number: signal.Signals) -> None:
    # With this latency, all rows take ten seconds: the jobs do not finish by themselves.
    with lamp_server(tmp_path, "--latency", "0.4") as (endpoint, journal):
        runs = KilledRuns(tmp_path / "project", endpoint, journal, ROWS)
        run = runs.start()
        runs.wait_for_rows(run, 20)
        runs.kill(run, number)
        written, asked = runs.written(), len(runs.prompts())
        runs.finish()
        assert runs.faults() == {"missing": 0, "wrong": 0, "written twice": 0}
        later = runs.prompts()[asked:]
        assert len(later) == len(set(later)) == ROWS - len(written)


def test_the_last_message_of_a_failed_job_reaches_the_terminal(tmp_path: Path) -> None:
    with lamp_server(tmp_path, "--model", "another-model") as (endpoint, journal):
        runs = KilledRuns(tmp_path / "project", endpoint, journal, 4)
        # As without a profile: no logs of failed jobs.
        status, output = call_snakemake(runs.project, TARGET, config=CONFIG, failed_logs=False)
    assert status != 0
    summary = output[output.rindex("generate_responses, logs/") :]
    assert "error: " in summary
    assert "the model m does not exist" in summary.lower()
