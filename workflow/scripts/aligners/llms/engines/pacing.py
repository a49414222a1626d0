"""Pacing: delays requests to keep limits per minute, and pauses all requests."""

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MINUTE = 60.0
# Seconds of the first and of the longest pause if the server does not give the length.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds to wait that are in a reply's headers (RFC 9110), or None."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        value = headers.get(name)
        if value is None:
            continue
        try:
            return max(0.0, float(value) * unit)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except ValueError:
            pass
    return None


class Pacer:
    """Spaces requests evenly to keep limits per minute, and pauses all of them."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None):
        """Set the limits; None means no limit."""
        self.seconds_per_request = MINUTE / requests_per_minute if requests_per_minute else 0.0
        self.seconds_per_token = MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self.next_start = self.resume_at = 0.0
        self.next_pause = FIRST_PAUSE

    async def wait_for_turn(self, tokens: float) -> None:
        """Wait until a request for at most `tokens` tokens may be sent."""
        start = max(time.monotonic(), self.next_start)
        self.next_start = start + max(self.seconds_per_request, tokens * self.seconds_per_token)
        while (delay := max(start, self.resume_at) - time.monotonic()) > 0:
            await asyncio.sleep(delay)

    def pause(self, seconds: float | None) -> None:
        """Pause all requests for a number of seconds, which the server gives.

        If it is None, each pause is twice as long as the one before, up to a minute. A None
        during a pause does not extend the pause.
        """
        now = time.monotonic()
        if seconds is None:
            if now < self.resume_at:
                return
            seconds = self.next_pause
            self.next_pause = min(2 * self.next_pause, LONGEST_PAUSE)
        self.resume_at = max(self.resume_at, now + seconds)

    def reset_pause(self) -> None:
        """Make the next pause of unknown length short again, after a success."""
        self.next_pause = FIRST_PAUSE
