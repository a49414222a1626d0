"""Usage: tokens, time and cost of the completions of a stage, and failures by cause."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aligners.configuration.kinds.llms import Prices

TOKENS_PER_PRICE = 1_000_000


@dataclass
class Usage:
    """Sums over the completions of one job, including those of earlier runs.

    Attributes:
        prices: of a million tokens, as in an LLM's recipe (input, output, currency), or None.
    """

    prices: Prices | None = None
    completions: int = 0
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    latency: float = 0.0
    failed: Counter[str] = field(default_factory=Counter)
    # Seconds from the start of each run to its last completion.
    run_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def add(self, entry: dict[str, Any]) -> None:
        """Count an entry of the ledger."""
        self.completions += 1
        self.attempts += entry["attempts"]
        self.tokens_in += entry["tokens_in"]
        self.tokens_out += entry["tokens_out"]
        self.latency += entry["seconds"]
        self.run_seconds[entry["run"]] = max(self.run_seconds[entry["run"]], entry["at"])

    def cost(self) -> float | None:
        """Return the cost in the currency of the prices; None without prices."""
        if not self.prices:
            return None
        spent = self.tokens_in * self.prices.input + self.tokens_out * self.prices.output
        return float(spent / TOKENS_PER_PRICE)

    def cost_text(self) -> str | None:
        """Return the cost with its currency as text; None without prices."""
        cost = self.cost()
        return f"{cost:.2f} {self.prices.currency}" if self.prices else None

    def summary(self) -> dict[str, Any]:
        """Return the sums for a usage file (docs/data.md)."""
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
    """Return rates computed from sums: tokens per second, share of failures, mean latency."""
    asked = sums["completions"] + sum(sums["failed"].values())
    written, seconds = sums["tokens_out"], sums["job_seconds"]
    return {
        "failed_share": round(sum(sums["failed"].values()) / asked, 6) if asked else 0.0,
        "tokens_per_second": round(written / seconds, 1) if seconds else None,
        "mean_latency_seconds": (
            round(sums["latency_seconds"] / sums["completions"], 3) if sums["completions"] else None
        ),
    }


def add_usage(summaries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the usage of several jobs as one; seconds are summed over jobs."""
    counted = ("completions", "attempts", "tokens_in", "tokens_out")
    sums: dict[str, Any] = {
        key: round(sum(summary[key] for summary in summaries), 3)
        for key in (*counted, "latency_seconds", "job_seconds")
    }
    sums["failed"] = dict(sum((Counter(summary["failed"]) for summary in summaries), Counter()))
    costs = [summary["cost"] for summary in summaries if summary["cost"] is not None]
    sums["cost"] = sum(costs) if costs else None
    sums["currency"] = next((item["currency"] for item in summaries if item["currency"]), None)
    return {**sums, **rates(sums)}
