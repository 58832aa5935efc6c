"""Requests a minute, by key.

What belongs here: counting in this process, and the headers that say what is left (draft-ietf-httpapi-ratelimit-headers-10). What does
not: quotas of bytes and jobs, which all servers count together (`users.quotas`).
"""

from __future__ import annotations

import math
import time
from typing import Final

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from reframer_pipeline.failures import TooManyRequests

WINDOW_S: Final = 60


class Rates:
    """The requests of the last minute, by key."""

    def __init__(self, per_minute: int) -> None:
        self._limit = RateLimitItemPerMinute(per_minute)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def count(self, key_id: str, headers: dict[str, str]) -> None:
        """One more request; writes what is left into `headers`, which go out with whatever is answered.

        Raises:
            TooManyRequests: It was one too many.
        """
        within = self._window.hit(self._limit, key_id)
        stats = self._window.get_window_stats(self._limit, key_id)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        headers["RateLimit-Policy"] = f'"requests";q={self._limit.amount};w={WINDOW_S}'
        headers["RateLimit"] = f'"requests";r={stats.remaining};t={wait}'
        if not within:
            raise TooManyRequests(f"The key may make {self._limit.amount} requests a minute.").after(wait)
