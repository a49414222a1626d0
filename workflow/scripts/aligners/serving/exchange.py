"""What the server knows of one request while it answers it, and tells in headers and metrics."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aligners.serving.errors import bad_request
from aligners.serving.options import OnError, ServeOptions, StreamMode

AFFECTS_RESULTS = False

TRACE, ON_ERROR, STREAM = "x-aligners-trace", "x-aligners-on-error", "x-aligners-stream"
PREFIX = "x-aligners-"
OBSERVED = "observed"
# Of several choices, the request has the action that a client most needs to know.
WEIGHTIEST = ("failed", "corrected", OBSERVED, "skipped", "unchanged")


@dataclass(frozen=True)
class Verdict:
    """What became of a response.

    Attributes:
        action: corrected, unchanged, skipped, failed; or observed, if the squad would correct a
            response that was already sent.
        reason: one of `core.reasons` or `serving.reasons`.
        response: the first response; None if it is no text.
        text: the correction, or the response.
        scores: P(aligned) by criterion; empty if the squad did not examine the response.
        trace: the turns.
        index: of the choice.
    """

    action: str
    reason: str
    response: str | None
    text: str | None
    scores: dict[str, float | None] = field(default_factory=dict)
    trace: list[dict[str, Any]] = field(default_factory=list)
    index: int = 0

    @property
    def acted(self) -> list[str]:
        """The criteria whose corrections were accepted, in the order of their turns."""
        return [turn["criterion"] for turn in self.trace if turn["accepted"]]

    def as_json(self) -> dict[str, Any]:
        """Return the verdict as clients see it.

        The correction is in it only where no other field of the answer has it.
        """
        found = {
            "action": self.action,
            "reason": self.reason,
            "acted": self.acted,
            "scores": self.scores,
            "trace": self.trace,
        }
        return {**found, "aligned_response": self.text} if self.action == OBSERVED else found


@dataclass(frozen=True)
class Wishes:
    """What the headers of a request ask of the server.

    Attributes:
        trace: the answer has an object with scores and turns.
        on_error: what the client gets if the squad fails.
        stream: how a stream is sent.
    """

    trace: bool
    on_error: OnError
    stream: StreamMode


def read_wishes(headers: Sequence[tuple[str, str]], options: ServeOptions) -> Wishes:
    """Return what the headers of a request ask; a request can only make the squad stricter.

    Raises:
        ApiError: a header is unknown or has another value, or would make the squad less strict.
    """
    given = {name: value.strip().lower() for name, value in headers if name.startswith(PREFIX)}
    for name, allowed in (
        (TRACE, {"0", "1"}),
        (ON_ERROR, {"refuse", options.on_error}),
        (STREAM, {"hold", options.stream}),
    ):
        if name in given and given[name] not in allowed:
            raise bad_request(
                f"the header {name} is {given[name]!r}; this server allows "
                f"{' or '.join(sorted(allowed))}, because a request can only make the squad "
                "stricter",
                "header_not_allowed",
                name,
            )
    if unknown := given.keys() - {TRACE, ON_ERROR, STREAM}:
        raise bad_request(
            f"the header {min(unknown)} is unknown; use {TRACE}, {ON_ERROR} or {STREAM}",
            "unknown_header",
            min(unknown),
        )
    return Wishes(
        given.get(TRACE) == "1",
        "refuse" if given.get(ON_ERROR) == "refuse" else options.on_error,
        "hold" if given.get(STREAM) == "hold" else options.stream,
    )


@dataclass
class Exchange:
    """A request and what became of it.

    Attributes:
        route: of the path, for metrics.
        wishes: of the headers.
        id: of the request, in its headers and in the log.
        started: when the whole request had arrived.
        upstream_seconds: until the whole answer of the upstream.
        ready_seconds: until the answer could be sent.
        action, reason, acted: of all choices together.
        status: of the response.
    """

    route: str
    wishes: Wishes
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: float = field(default_factory=time.perf_counter)
    upstream_seconds: float | None = None
    ready_seconds: float | None = None
    action: str = ""
    reason: str = ""
    acted: list[str] = field(default_factory=list)
    status: int = 0

    def begin(self) -> None:
        """Measure from now on: the whole request has arrived."""
        self.started = time.perf_counter()

    def conclude(self, verdicts: Sequence[Verdict]) -> None:
        """Keep what became of all choices together, when the answer can be sent."""
        first = min(verdicts, key=lambda each: WEIGHTIEST.index(each.action))
        self.action, self.reason = first.action, first.reason
        self.acted = list(dict.fromkeys(name for each in verdicts for name in each.acted))
        self.ready_seconds = time.perf_counter() - self.started

    @property
    def overhead_seconds(self) -> float | None:
        """The time besides that of the upstream; None before the answer can be sent."""
        if self.ready_seconds is None:
            return None
        return max(0.0, self.ready_seconds - (self.upstream_seconds or 0.0))

    def headers(self) -> list[tuple[bytes, bytes]]:
        """Return the headers of the response, as far as they are known when it begins."""
        named = {"id": self.id}
        if self.action:
            named |= {"action": self.action, "reason": self.reason, "acted": ",".join(self.acted)}
        if self.upstream_seconds is not None:
            named["upstream-ms"] = f"{1000 * self.upstream_seconds:.1f}"
        if self.overhead_seconds is not None:
            named["overhead-ms"] = f"{1000 * self.overhead_seconds:.1f}"
        return [
            (f"{PREFIX}{name}".encode(), value.encode("latin-1", "replace"))
            for name, value in named.items()
        ]

    def summary(self) -> dict[str, Any]:
        """Return what the headers say, for a body or for the last chunk of a stream."""
        summary: dict[str, Any] = {
            "id": self.id,
            "action": self.action,
            "reason": self.reason,
            "acted": self.acted,
        }
        if self.upstream_seconds is not None:
            summary["upstream_ms"] = round(1000 * self.upstream_seconds, 1)
        if self.overhead_seconds is not None:
            summary["overhead_ms"] = round(1000 * self.overhead_seconds, 1)
        return summary

    def describe(self, verdicts: Sequence[Verdict], thresholds: dict[str, float]) -> dict[str, Any]:
        """Return the object `aligners` of an answer.

        It has the summary, and each choice if the client asks for the trace, or if the squad would
        correct a response that was sent already.
        """
        if not self.wishes.trace and self.action != OBSERVED:
            return self.summary()
        choices = [
            {"index": each.index, **each.as_json(), "response": each.response} for each in verdicts
        ]
        return {**self.summary(), "choices": choices, "thresholds": thresholds}
