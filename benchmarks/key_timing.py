"""Whether the time of a refusal tells how much of a key was right.

    python benchmarks/key_timing.py [--requests 2000] [--home FOLDER]

A real server is asked with wrong keys of four kinds, in an order drawn anew in each round. Each kind is compared with keys of which nothing
is right, round by round: the median of the differences, its 95 % interval by the bootstrap, and Wilcoxon's p. The kinds are: the visible
beginning of a good key and nothing else; all of a good key but its last character; a key that was revoked. Good keys are left out, since
their answers differ anyway. What is done is the same for each (`users/test_keys.py`): this looks for a difference that nobody foresaw.
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from reframer_pipeline.database import embedded
from reframer_pipeline.results.storage import open_storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.users import keys, people

PORT = 8767
WARM = 50  # rounds that do not count
DRAWN = 2000  # samples of the bootstrap
NOTHING = "nothing is right"


@contextmanager
def _server(settings: Settings) -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REFRAMER_")}
    more = {"REFRAMER_HOME": str(settings.home_dir), "REFRAMER_API_WRONG_KEYS_PER_MINUTE": "1000000"}
    command = [sys.executable, "-m", "reframer_pipeline", "serve", "--quiet", "--api-port", str(PORT)]
    process = subprocess.Popen(command, env=kept | more, stdout=subprocess.DEVNULL)
    try:
        for _ in range(6000):
            try:
                http.client.HTTPConnection("127.0.0.1", PORT, timeout=5).request("GET", "/healthz")
                break
            except OSError:
                assert process.poll() is None, "the server did not start"
                time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait()


def asked(connection: http.client.HTTPConnection, key: str) -> float:
    """Seconds until the refusal is there."""
    begun = time.perf_counter()
    connection.request("GET", "/me", headers={"X-API-Key": key})
    answer = connection.getresponse()
    answer.read()
    took = time.perf_counter() - begun
    assert answer.status == 401, answer.status
    return took


def measured(kinds: dict[str, Callable[[], str]], rounds: int) -> dict[str, list[float]]:
    """Seconds of each kind, round by round."""
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    connection, order = http.client.HTTPConnection("127.0.0.1", PORT, timeout=60), list(kinds)
    for number in range(WARM + rounds):
        random.shuffle(order)
        for kind in order:
            seconds = asked(connection, kinds[kind]())
            if number >= WARM:
                took[kind].append(seconds)
    return took


def main() -> None:
    from scipy.stats import wilcoxon

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=2000, help="of each kind")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(home=given.home or Path(folder))
        try:
            with open_storage(settings) as storage:
                user = people.add(storage.db, "timed@example.org")
                good, revoked = (keys.add(storage.db, user, name, keys.SCOPES) for name in ("good", "revoked"))
                keys.revoke(storage.db, keys.named(storage.db, revoked[:11])["key_id"])
                last = "A" if good[-1] != "A" else "B"
                kinds: dict[str, Callable[[], str]] = {
                    NOTHING: lambda: keys.MARK + secrets.token_urlsafe(32),
                    "the beginning is right": lambda: good[:11] + secrets.token_urlsafe(32)[:35],
                    "all but the last character": lambda: good[:-1] + last,
                    "revoked": lambda: revoked,
                }
                with _server(settings):
                    took = measured(kinds, given.requests)
        finally:
            embedded.stop(settings)
    base, draw = np.array(took[NOTHING]) * 1e6, np.random.default_rng(1)
    print(f"{given.requests} requests of each kind; {NOTHING}: median {np.median(base):.0f} µs")
    for kind, seconds in took.items():
        if kind != NOTHING:
            apart = np.array(seconds) * 1e6 - base
            medians = np.median(draw.choice(apart, (DRAWN, len(apart))), axis=1)
            low, high = np.percentile(medians, [2.5, 97.5])
            print(f"{kind}: {np.median(apart):+.1f} µs, 95 % [{low:+.1f}, {high:+.1f}], p = {wilcoxon(apart).pvalue:.3f}")


if __name__ == "__main__":
    main()
