"""When the next request may be sent: limits per minute, and pauses that hold for all requests."""

import asyncio
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

MINUTE = 60.0
# Of a server that refuses without saying for how long: the first pause, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 60.0


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a server asks to wait, or None if it does not say (RFC 9110)."""
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
    """Spaces requests evenly under limits per minute, and stops all of them for a pause."""

    def __init__(self, requests_per_minute: float | None, tokens_per_minute: float | None):
        """Take the limits; None is no limit."""
        self.seconds_per_request = MINUTE / requests_per_minute if requests_per_minute else 0.0
        self.seconds_per_token = MINUTE / tokens_per_minute if tokens_per_minute else 0.0
        self.next_start = self.resume_at = 0.0
        self.next_pause = FIRST_PAUSE

    async def turn(self, tokens: float) -> None:
        """Wait until a request that may take so many tokens can be sent."""
        start = max(time.monotonic(), self.next_start)
        self.next_start = start + max(self.seconds_per_request, tokens * self.seconds_per_token)
        while (delay := max(start, self.resume_at) - time.monotonic()) > 0:
            await asyncio.sleep(delay)

    def pause(self, seconds: float | None) -> None:
        """Stop all requests for as long as the server asks.

        Where it does not say (None), each pause after the last is twice as long, up to a minute.
        Replies to requests that were sent before the pause do not make it longer.
        """
        now = time.monotonic()
        if seconds is None:
            if now < self.resume_at:
                return
            seconds = self.next_pause
            self.next_pause = min(2 * self.next_pause, LONGEST_PAUSE)
        self.resume_at = max(self.resume_at, now + seconds)

    def succeeded(self) -> None:
        """Begin again with a short pause when next refused."""
        self.next_pause = FIRST_PAUSE
