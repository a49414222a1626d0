"""What Prometheus reads at /metrics."""

from collections.abc import Callable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)

AFFECTS_RESULTS = False

# A second series for each, with the time of its first count, which no dashboard needs.
disable_created_metrics()

OVERHEAD_SECONDS = (0.002, 0.005, 0.01, 0.015, 0.025, 0.04, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
UPSTREAM_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)
# A larger number is no number of tokens.
MOST_TOKENS = 10**9


class Metrics:
    """Counters of one server."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "aligners_requests",
            "Requests that were answered.",
            ("route", "status", "action", "reason"),
            registry=registry,
        )
        self.in_progress = Gauge(
            "aligners_requests_in_progress", "Requests that are not answered.", registry=registry
        )
        self.responses = Counter(
            "aligners_responses",
            "Responses by what was done to them; a request can have several.",
            ("action", "reason"),
            registry=registry,
        )
        self.turns = Counter(
            "aligners_turns",
            "Corrections that aligners wrote, by the decision of the gate.",
            ("criterion", "decision"),
            registry=registry,
        )
        self.overhead = Histogram(
            "aligners_overhead_seconds",
            "Time of a request besides that of the upstream.",
            ("route",),
            buckets=OVERHEAD_SECONDS,
            registry=registry,
        )
        self.upstream = Histogram(
            "aligners_upstream_seconds",
            "Time until the whole answer of the upstream.",
            buckets=UPSTREAM_SECONDS,
            registry=registry,
        )
        self.upstream_errors = Counter(
            "aligners_upstream_errors",
            "Requests to which the upstream gave no whole answer.",
            ("code",),
            registry=registry,
        )
        self.restarts = Counter(
            "aligners_model_process_restarts",
            "How often the process with the models was started again.",
            registry=registry,
        )
        self.failures = Counter(
            "aligners_failures",
            "Responses that the squad failed to examine, by what the client got.",
            ("mode", "cause"),
            registry=registry,
        )
        self.tokens = Counter(
            "aligners_tokens",
            "Tokens of the upstream, where it counts them.",
            ("kind",),
            registry=registry,
        )

    def watch_squad(self, queue: Callable[[], int], ready: Callable[[], bool]) -> None:
        """Add the state of the process with the models, which is read when it is asked for."""
        Gauge(
            "aligners_queue_length", "Responses that wait for the squad.", registry=self.registry
        ).set_function(queue)
        Gauge(
            "aligners_squad_ready", "1 if the models are loaded.", registry=self.registry
        ).set_function(ready)

    def count_turns(self, trace: list[dict[str, Any]]) -> None:
        """Count the turns of a response."""
        for turn in trace:
            decision = "acted" if turn["accepted"] else "rejected"
            self.turns.labels(turn["criterion"], decision).inc()

    def count_tokens(self, usage: Any) -> None:
        """Count the tokens of an answer, if it has them."""
        if not isinstance(usage, dict):
            return
        for kind in ("prompt", "completion"):
            count = usage.get(f"{kind}_tokens")
            if isinstance(count, int) and 0 <= count <= MOST_TOKENS:
                self.tokens.labels(kind).inc(count)

    def text(self) -> bytes:
        """Return all in the format of Prometheus."""
        return generate_latest(self.registry)
