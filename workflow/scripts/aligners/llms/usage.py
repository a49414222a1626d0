"""Usage: tokens, time and cost of the completions of a stage, and failures by cause."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from aligners.configuration.kinds.llms import Prices
from aligners.core.file_checks import Count

TOKENS_PER_PRICE = 1_000_000


class UsageSummary(BaseModel):
    """The content of a usage file (docs/data.md), without the rates computed from it."""

    completions: Count
    failed: dict[str, Count]
    attempts: Count
    tokens_in: Count
    tokens_out: Count
    latency_seconds: float
    job_seconds: float
    cost: float | None
    currency: str | None


@dataclass
class Usage:
    """Sums over the completions of one job, including completions of earlier runs.

    Attributes:
        prices: prices of a million tokens, as in an LLM's recipe (input, output, currency), or
            None.
        run_seconds: for each run, seconds from its start to its last completion.
    """

    prices: Prices | None = None
    completions: int = 0
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    latency: float = 0.0
    failed: Counter[str] = field(default_factory=Counter)
    run_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, entry: dict[str, Any]) -> None:
        """Add an entry of the ledger to the sums."""
        self.completions += 1
        self.attempts += entry["attempts"]
        self.tokens_in += entry["tokens_in"]
        self.tokens_out += entry["tokens_out"]
        self.latency += entry["seconds"]
        self.run_seconds[entry["run"]] = max(self.run_seconds[entry["run"]], entry["at"])

    def cost(self) -> float | None:
        """Return the cost in the currency of the prices, or None without prices."""
        if not self.prices:
            return None
        total = self.tokens_in * self.prices.input + self.tokens_out * self.prices.output
        return float(total / TOKENS_PER_PRICE)

    def cost_text(self) -> str | None:
        """Return the cost with its currency as text, or None without prices."""
        cost = self.cost()
        return f"{cost:.2f} {self.prices.currency}" if self.prices else None

    def summary(self) -> dict[str, Any]:
        """Return the content of a usage file (docs/data.md)."""
        sums = {
            "completions": self.completions,
            "failed": dict(sorted(self.failed.items())),
            "attempts": self.attempts,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "latency_seconds": round(self.latency, 3),
            "job_seconds": round(sum(self.run_seconds.values()), 3),
            "cost": self.cost(),
            "currency": self.prices.currency if self.prices else None,
        }
        return {**sums, **rates(sums)}


def rates(sums: dict[str, Any]) -> dict[str, Any]:
    """Return the rates of a usage file: share of failures, tokens per second, mean latency."""
    failed = sum(sums["failed"].values())
    requests, seconds = sums["completions"] + failed, sums["job_seconds"]
    return {
        "failed_share": round(failed / requests, 6) if requests else 0.0,
        "tokens_per_second": round(sums["tokens_out"] / seconds, 1) if seconds else None,
        "mean_latency_seconds": (
            round(sums["latency_seconds"] / sums["completions"], 3) if sums["completions"] else None
        ),
    }


def add_usage(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the total usage of several jobs. Seconds are summed as well."""
    counts = ("completions", "attempts", "tokens_in", "tokens_out")
    sums: dict[str, Any] = {
        key: round(sum(summary[key] for summary in summaries), 3)
        for key in (*counts, "latency_seconds", "job_seconds")
    }
    sums["failed"] = dict(sum((Counter(summary["failed"]) for summary in summaries), Counter()))
    costs = [summary["cost"] for summary in summaries if summary["cost"] is not None]
    sums["cost"] = sum(costs) if costs else None
    sums["currency"] = next((item["currency"] for item in summaries if item["currency"]), None)
    return {**sums, **rates(sums)}
