"""Pacing: delays requests to keep limits per minute, and pauses all requests."""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from aligners.core.formats import duration

logger = logging.getLogger(__name__)

MINUTE = 60.0
# Seconds of the first and of the longest pause if the server does not give the length.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0
# Pauses that are shorter in all are not logged. Longer ones are logged again after LOG_EVERY.
QUIET, LOG_EVERY = 10.0, 300.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that are in a reply's headers (RFC 9110), or None.

    None also stands for a time that has passed: to wait for no time at all would be a busy loop.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = parse_wait(headers.get(name, ""), unit)
        if seconds is not None and seconds > 0:  # not for NaN
            return seconds
    return None


def parse_wait(value: str, unit: float) -> float | None:
    """Return the seconds of a number of units, or until a date, or None if it is neither."""
    try:
        return float(value) * unit
    except ValueError:
        pass
    try:
        return parsedate_to_datetime(value).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None


class Pacer:
    """Spaces requests evenly to keep limits per minute, and pauses all of them."""

    def __init__(
        self,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        longest_wait: float,
    ):
        """Set the limits per minute (None means no limit), and the longest time of all pauses."""
        self.seconds_per_request = MINUTE / requests_per_minute if requests_per_minute else 0.0
        self.seconds_per_token = MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self.longest_wait = longest_wait
        self.next_start = self.resume_at = self.log_beyond = 0.0
        self.next_pause, self.log_at = FIRST_PAUSE, math.inf
        self.paused_since: float | None = None
        self.reason = ""

    async def wait_for_turn(self, tokens: float, deadline: float | None = None) -> None:
        """Wait until a request for at most `tokens` tokens may be sent.

        Args:
            tokens: of the prompt and the completion.
            deadline: time of the monotonic clock after which the request is of no use.

        Raises:
            TimeoutError: its turn comes after the deadline. It takes no turn from later requests.
        """
        start = max(time.monotonic(), self.next_start)
        if deadline is not None and start > deadline:
            raise TimeoutError
        self.next_start = start + max(self.seconds_per_request, tokens * self.seconds_per_token)
        while (delay := max(start, self.resume_at) - time.monotonic()) > 0:
            await asyncio.sleep(min(delay, LOG_EVERY))
            if self.log_at <= time.monotonic() < self.resume_at - QUIET:
                self.log_wait()

    def pause(self, seconds: float | None, reason: str) -> bool:
        """Pause all requests for a number of seconds, which the server gives.

        If it is None, each pause is twice as long as the one before, up to a minute. A None
        during a pause does not extend the pause. After the longest wait, the server's number no
        longer counts, and the requests are sent again for a minute.

        Returns:
            False if there was no success in this time, so that it is of no use to go on.
        """
        now = time.monotonic()
        if self.paused_since is None:
            self.paused_since, self.log_beyond = now, now + QUIET
        end = self.paused_since + self.longest_wait
        if now >= end + LONGEST_PAUSE:
            return False
        if seconds is None or now >= end:
            if now < self.resume_at:
                return True
            seconds = self.next_pause
            self.next_pause = min(2 * self.next_pause, LONGEST_PAUSE)
        self.resume_at = max(self.resume_at, min(now + seconds, max(end, now + LONGEST_PAUSE)))
        self.reason = reason
        if self.resume_at > self.log_beyond:
            self.log_wait()
        return True

    def log_wait(self) -> None:
        """Log that the requests wait, for how long and why."""
        now = time.monotonic()
        self.log_at, self.log_beyond = now + LOG_EVERY, self.resume_at + LOG_EVERY
        logger.warning(
            "%s. All requests wait for %s, and for at most %s in all (longest_wait_seconds)",
            self.reason,
            duration(self.resume_at - now),
            duration(self.longest_wait),
        )

    def reset_pause(self) -> None:
        """End the count of pauses, after the server has accepted a request."""
        self.next_pause, self.log_at = FIRST_PAUSE, math.inf
        self.paused_since = None
