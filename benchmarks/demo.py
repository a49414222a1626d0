"""The demo in a temporary copy of the project: its time, memory, scorecard and report."""

import csv
import subprocess
import time
from pathlib import Path
from typing import Any

from figures import IS_TRUE, Figure, Figures, above, at_least, at_most
from project_copy import PROGRAMS, environment, project_copy

from aligners.core.rows import read_json


def measure(results: Path | None = None) -> Figures:
    """Run the demo twice, evaluate it and write its report; or evaluate the given `results`."""
    if results is not None:
        return evaluate(results)
    with project_copy() as project:
        command = [str(PROGRAMS / "aligners"), "demo"]
        subprocess.run(command, cwd=project, env=environment(project), check=True)
        again = subprocess.run(
            command,
            cwd=project,
            env=environment(project),
            check=True,
            capture_output=True,
            text=True,
        )
        idle = "Nothing to be done" in again.stdout + again.stderr
        figures = {"second run has nothing to do": Figure(idle, IS_TRUE)}
        return figures | evaluate(project / "results") | report(project)


def evaluate(results: Path) -> Figures:
    """Return the figures of a demo from its results/ and the logs/ beside it."""
    run = read_json(results / "closed_world/run.json")
    scores = read_json(results / "closed_world/scorecard.json")
    logs = results.parent / "logs"
    figures = {
        "demo, s": Figure(run["wall_seconds"], at_most(600)),
        "largest process, MiB": Figure(run["peak_rss_mib"], at_most(3072)),
        "longest train_aligner, s": Figure(longest_job(logs / "train_aligner"), at_most(120)),
        "longest train_inspector, s": Figure(longest_job(logs / "train_inspector"), at_most(30)),
    }
    for criterion, score in scores["inspectors"].items():
        figures[f"inspector {criterion}: accuracy on pairs"] = Figure(score["accuracy"])
        figures[f"inspector {criterion}: calibration error on pairs"] = Figure(score["ece"])
    for llm, found in scores["responses"].items():
        for criterion, score in found["known_facts"].items():
            name = f"inspector {criterion} on responses of {llm}"
            figures[f"{name}: accuracy"] = Figure(score["accuracy"], at_least(0.95))
            figures[f"{name}: calibration error"] = Figure(score["ece"], at_most(0.03))
    for llm, score in scores["datasets"]["all"].items():
        for name, figure in system_figures(score, list(scores["inspectors"])).items():
            figures[f"{llm}: {name}"] = figure
    return figures


def report(project: Path) -> Figures:
    """Judge the answers of a demo and write its report, and return the time of both."""
    judging = seconds(project, "results/judged/all", "results/tables/all")
    reporting = seconds(project, "results/report.html")
    size = (project / "results/report.html").stat().st_size / 1e6
    return {
        "judging and tables, s": Figure(round(judging, 1)),
        "report, s": Figure(round(reporting, 1), at_most(30)),
        "report, MB": Figure(round(size, 2), at_most(15)),
    }


def seconds(project: Path, *targets: str) -> float:
    """Make targets of the demo and return the seconds that this takes."""
    started = time.perf_counter()
    command = [str(PROGRAMS / "snakemake"), "--profile", "profiles/demo", *targets]
    subprocess.run(command, cwd=project, env=environment(project), check=True)
    return time.perf_counter() - started


def longest_job(logs: Path) -> float | None:
    """Return the seconds of a rule's longest job, including interpreter start and imports."""
    seconds = []
    for path in logs.rglob("*.benchmark.tsv"):
        with path.open(encoding="utf-8", newline="") as handle:
            seconds += [float(row["s"]) for row in csv.DictReader(handle, delimiter="\t")]
    return max(seconds, default=None)


def system_figures(score: dict[str, Any], criteria: list[str]) -> Figures:
    """Return the figures of one base LLM on known facts."""
    clean = {name: rate["value"] for name, rate in score["clean_share"].items()}
    best = max(clean[criterion] for criterion in criteria)
    figures = {
        "held-out rows": Figure(score["clean_share"]["initial"]["n"], at_least(600)),
        "clean before correction": Figure(clean["initial"], at_most(0.40)),
        "clean after the squad": Figure(clean["squad"], at_least(0.90)),
        "clean after best aligner": Figure(best),
        "squad - best aligner": Figure(round(clean["squad"] - best, 4), above(0)),
        "clean after squad-paper": Figure(clean["squad-paper"]),
        "squad - squad-paper": Figure(round(clean["squad"] - clean["squad-paper"], 4), at_least(0)),
        "harm of the squad": Figure(score["harm_rate"]["squad"]["value"], at_most(0.02)),
    }
    unknown = score["unknown_facts"]["harm_by_criterion"]["squad"]
    for criterion, harm in score["harm_by_criterion"]["squad"].items():
        figures[f"harm of the squad: {criterion}"] = Figure(harm["value"], at_most(0.01))
        figures[f"harm of the squad: {criterion}, unknown facts"] = Figure(
            unknown[criterion]["value"], at_most(0.05)
        )
    figures["text lost of long responses"] = Figure(
        score["text_lost"]["squad"]["value"], at_most(0)
    )
    if "conditioned" not in clean:
        return figures
    return figures | {
        # No targets: it needs more training than the demo has time for (docs/decisions.md).
        "clean after conditioned": Figure(clean["conditioned"]),
        "harm of conditioned": Figure(score["harm_rate"]["conditioned"]["value"]),
        "clean after squad-conditioned": Figure(clean["squad-conditioned"]),
        "squad-conditioned - best aligner": Figure(
            round(clean["squad-conditioned"] - best, 4), above(0)
        ),
        "harm of squad-conditioned": Figure(
            score["harm_rate"]["squad-conditioned"]["value"], at_most(0.02)
        ),
    }
