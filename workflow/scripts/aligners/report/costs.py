"""The costs section of the page: time and memory of jobs, tokens and money of completions."""

from collections import defaultdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import pandas as pd

from aligners.configuration import results
from aligners.configuration.experiment import RECORD
from aligners.core.rows import read_json
from aligners.llms.usage import UsageSummary, add_usage

BENCHMARK, USAGE = ".benchmark.tsv", ".usage.json"
FIRST_RESPONSES = results.FIRST_RESPONSES_SHARD.beside("usage.json").fill(
    criterion="*", llm="*", shard="*"
)


def costs_section(logs: Path) -> dict[str, Any]:
    """Return times by rule, usage by file, and their sums.

    Args:
        logs: directory of benchmark files; each describes the last run of a job.
    """
    usage = usage_rows()
    times = times_by_rule(logs, RECORD.stat().st_mtime if RECORD.exists() else 0)
    return {
        "times": times,
        "seconds": sum(time["seconds"] for time in times),
        "jobs": sum(time["jobs"] for time in times),
        "usage": usage,
        "tokens_in": sum(row["tokens_in"] for row in usage),
        "tokens_out": sum(row["tokens_out"] for row in usage),
        "costs": costs_by_currency(usage),
    }


def times_by_rule(logs: Path, started: float) -> list[dict[str, Any]]:
    """Return jobs, seconds, the longest job and the largest memory of each rule, slowest first.

    Between experiments, users move results/ away, but logs/ stays. So benchmark files that are
    older than this experiment's record belong to another experiment and are ignored.

    Args:
        logs: directory of benchmark files.
        started: time of the experiment's record, in seconds since the epoch.
    """
    jobs = [
        {"rule": path.relative_to(logs).parts[0].removesuffix(BENCHMARK), **job}
        for path in sorted(logs.rglob(f"*{BENCHMARK}"))
        if path.stat().st_mtime >= started
        for job in pd.read_csv(path, sep="\t").to_dict("records")
    ]
    if not jobs:
        return []
    # For a very short job, Snakemake writes "-" or nothing.
    table = pd.DataFrame(jobs)
    for column in ("s", "max_rss", "cpu_time"):
        table[column] = pd.to_numeric(table[column], errors="coerce").fillna(0.0)
    rules = table.groupby("rule").agg(
        jobs=("s", "size"),
        seconds=("s", "sum"),
        longest=("s", "max"),
        processor=("cpu_time", "sum"),
        memory_mib=("max_rss", "max"),
    )
    rules = rules.sort_values("seconds", ascending=False).reset_index()
    return [{str(key): value for key, value in row.items()} for row in rules.to_dict("records")]


def usage_rows() -> list[dict[str, Any]]:
    """Return the usage files with their names; gathered files already include their shards.

    First responses are not gathered, so their shards are added up.
    """
    directory = results.DIRECTORY
    rows, shards = [], defaultdict(list)
    for path in sorted(directory.rglob(f"*{USAGE}")):
        usage = read_json(path, UsageSummary)
        if path.match(FIRST_RESPONSES):
            shards[path.parent].append(usage)
        elif not path.parent.with_name(path.parent.name + USAGE).exists():
            name = path.relative_to(directory).as_posix().removesuffix(USAGE)
            rows.append({"name": name, **usage})
    for path, summaries in shards.items():
        name = path.relative_to(directory).as_posix()
        rows.append({"name": name, **add_usage(summaries)})
    return sorted(rows, key=itemgetter("name"))


def costs_by_currency(usage: list[dict[str, Any]]) -> dict[str, float]:
    """Return the money spent in each currency."""
    sums: dict[str, float] = {}
    for row in usage:
        if row["cost"] is not None:
            sums[row["currency"]] = sums.get(row["currency"], 0.0) + row["cost"]
    return sums
