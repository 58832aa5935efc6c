"""Requests a minute: by key, and those with wrong keys by address.

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
    """The requests of the last minute, by whom.

    Args:
        per_minute: How many one may make.
        name: Of the policy, as headers call it.
        whose: How a sentence about the limit begins.
    """

    def __init__(self, per_minute: int, name: str = "requests", whose: str = "The key may make {} requests a minute.") -> None:
        self._name, self._said = name, whose.format(per_minute)
        self._limit = RateLimitItemPerMinute(per_minute)
        self._window = MovingWindowRateLimiter(MemoryStorage())

    def count(self, who: str, headers: dict[str, str]) -> None:
        """One more request; writes what is left into `headers`, which go out with whatever is answered.

        Raises:
            TooManyRequests: It was one too many.
        """
        self._say(self._window.hit(self._limit, who), who, headers)

    def demand(self, who: str, headers: dict[str, str]) -> None:
        """Go on only if one more may be made, without counting it. Raises `TooManyRequests`."""
        if not self._window.test(self._limit, who):
            self._say(False, who, headers)

    def _say(self, within: bool, who: str, headers: dict[str, str]) -> None:
        stats = self._window.get_window_stats(self._limit, who)
        wait = max(1, math.ceil(stats.reset_time - time.time()))
        headers["RateLimit-Policy"] = f'"{self._name}";q={self._limit.amount};w={WINDOW_S}'
        headers["RateLimit"] = f'"{self._name}";r={stats.remaining};t={wait}'
        if not within:
            raise TooManyRequests(self._said).after(wait)
