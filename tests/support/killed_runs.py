"""Runs of the workflow that are killed while two jobs ask a local server for responses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml
from faulty_server import answer_to
from projects import (
    MINIATURE,
    SUPPORT,
    environment,
    make_project,
    run_snakemake,
    snakemake_command,
)

from aligners.core.rows import read_rows, row_id

TARGET = "results/responses/lamps/lamp-server.jsonl"
LEDGERS = "results/.working/results+responses+lamps+lamp-server"
# Seconds that a bounded wait may take on a busy machine.
PATIENCE = 120
CONFIG = "config/lamps.yaml"


def question(number: int) -> str:
    """Return the question of a row."""
    return f"What is the colour of lamp {number}?"


class KilledRuns:
    """A project with `rows` questions, whose runs can be killed and checked."""

    def __init__(self, directory: Path, endpoint: str, journal: Path, rows: int):
        """Make the project. The server at `endpoint` writes its replies to the journal."""
        directory.mkdir()
        self.project, self.journal, self.rows = make_project(directory), journal, rows
        recipes = self.project / "config"
        config = yaml.safe_load((self.project / MINIATURE).read_text())
        config |= {"name": "lamps", "datasets": ["lamps"], "judges": []}
        config["llms"].append("lamp-server")
        (self.project / CONFIG).write_text(yaml.safe_dump(config))
        table = "\n".join(["question", *map(question, range(rows))])
        (recipes / "datasets/lamps.csv").write_text(table + "\n")
        dataset = {
            "source": "file",
            "path": "config/datasets/lamps.csv",
            "columns": {"question": "question"},
        }
        llm = {
            "engine": "openai",
            "chat": True,
            "model": "m",
            "endpoint": endpoint,
            "concurrency": 4,
            "timeout_seconds": 10,
            "responses": {"max_new_tokens": 20},
        }
        (recipes / "datasets/lamps.yaml").write_text(yaml.safe_dump(dataset))
        (recipes / "llms/lamp-server.yaml").write_text(yaml.safe_dump(llm))

    def start(self) -> subprocess.Popen[bytes]:
        """Start a run in a process group of its own."""
        snakemake, *arguments = snakemake_command(TARGET, config=CONFIG)
        with (self.project / "run.log").open("wb") as log:
            return subprocess.Popen(
                [snakemake, "--rerun-incomplete", *arguments],
                cwd=self.project,
                env=environment(self.project),
                start_new_session=True,
                stdout=log,
                stderr=log,
            )

    def wait_for_rows(self, run: subprocess.Popen[bytes], count: int) -> None:
        """Wait until `count` more rows are written than before.

        Raises:
            AssertionError: the run ends before.
        """
        goal = len(self.written()) + count
        while len(self.written()) < goal:
            assert run.poll() is None, (self.project / "run.log").read_text()
            time.sleep(0.02)

    def kill(
        self, run: subprocess.Popen[bytes], number: signal.Signals, group: bool = False
    ) -> None:
        """Send a signal to Snakemake, alone or with its process group; wait until its jobs end.

        Raises:
            AssertionError: the run does not end because of the signal.
        """
        jobs = psutil.Process(run.pid).children(recursive=True)
        (os.killpg if group else os.kill)(run.pid, number)
        run.wait(PATIENCE)
        _, alive = psutil.wait_procs(jobs, PATIENCE)
        assert not alive, "jobs live on after their run"
        # Otherwise the jobs ended because they were finished.
        assert len(self.written()) < self.rows

    def unlock(self) -> None:
        """Remove the lock that a killed run leaves."""
        run_snakemake(self.project, "--unlock", config=CONFIG)

    def finish(self) -> None:
        """Run until all rows are written."""
        self.unlock()
        run_snakemake(self.project, "--rerun-incomplete", TARGET, config=CONFIG)

    def written(self) -> set[str]:
        """Return the ids of the rows in the ledgers."""
        ids = set()
        for ledger in (self.project / LEDGERS).glob("*.jsonl"):
            lines = ledger.read_bytes().splitlines(keepends=True)[1:]
            ids |= {json.loads(line)["id"] for line in lines if line.endswith(b"\n")}
        return ids

    def written_prompts(self) -> set[str]:
        """Return the prompts of the rows in the ledgers."""
        ids = {row_id(question(number)): question(number) for number in range(self.rows)}
        return {ids[name] for name in self.written()}

    def prompts(self) -> list[str]:
        """Return the prompts that the server has answered."""
        lines = self.journal.read_text(encoding="utf-8").splitlines()
        return [json.loads(line)[1] for line in lines]

    def faults(self) -> dict[str, int]:
        """Return how many rows are missing, wrong, or were written twice."""
        rows = read_rows(self.project / TARGET)
        ledgers = (self.project / LEDGERS).glob("*.jsonl")
        entries = sum(len(ledger.read_bytes().splitlines()) - 1 for ledger in ledgers)
        expected = {question(number) for number in range(self.rows)}
        return {
            "missing": len(expected - {row["question"] for row in rows}),
            "wrong": sum(row["response"] != answer_to(row["question"]) for row in rows),
            "written twice": entries - self.rows,
        }


@contextmanager
def lamp_server(directory: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """Run the server of the responses; yield its endpoint and its journal."""
    journal = directory / "journal.jsonl"
    journal.touch()
    command = [sys.executable, str(SUPPORT / "faulty_server.py"), "--journal", str(journal)]
    server = subprocess.Popen(
        [*command, *options],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout
    try:
        yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1", journal
    finally:
        server.communicate()
