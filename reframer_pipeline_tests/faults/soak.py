"""The soak: many small videos come in by folder, command and API while faults happen at random, from a seed; then nothing may be lost.

    python -m reframer_pipeline_tests.faults.soak --minutes 30 --seed 1

What belongs here: who hands in and what, when faults happen, and what is printed. What does not: the faults (`chaos`), what must hold
(`invariants`). Everything runs in a folder of its own, on loopback alone, and ends by itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx2
import psycopg

from reframer_pipeline.database import embedded
from reframer_pipeline.demo.world import FIRST_EVALUATION_SEED, make_clip, write_clip
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.fake_gemini import Behaviour, Endpoint, FakeGemini, Kind
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.uploads.content import sha256_of
from reframer_pipeline.users import keys, people
from reframer_pipeline_tests.command import environment
from reframer_pipeline_tests.deployment.deployment import VARIABLES, Deployment
from reframer_pipeline_tests.faults import invariants
from reframer_pipeline_tests.faults.chaos import FAULTS
from reframer_pipeline_tests.faults.ledger import Ledger
from reframer_pipeline_tests.faults.watching import Watching

WITHIN_S: Final = 1800.0  # from acceptance to end, faults and all; without faults it is a minute
SETTLED_S: Final = 1500.0  # after the last fault
AT_ONCE: Final = 8  # videos under way: more would only wait
WAYS: Final = ("folder", "folder", "folder", "api", "api", "api", "command")
NOT_A_VIDEO: Final = "not_a_video"
UNPAID: Final = (Kind.RATE_LIMITED, Kind.INTERNAL, Kind.UNAVAILABLE, Kind.HTML, Kind.DROP)  # what Gemini answers, and charges nothing for


class Soak:
    """One soak over one deployment.

    Attributes:
        ledger: What was accepted.
        faults: How often each happened.
        not_taken: Uploads that were refused or broke off because something was away; the uploader was told so.
    """

    def __init__(self, own: Deployment, gemini: FakeGemini, seed: int, folder: Path) -> None:
        self._gemini = gemini
        self.ledger = Ledger()
        self.faults: Counter[str] = Counter()
        self.not_taken: Counter[str] = Counter()
        self.troubles: list[str] = []
        self._own, self._seed, self._folder = own, seed, folder
        self._over = threading.Event()
        self._one_at_a_time = threading.Lock()  # a fault, or a look at who is under way
        self.storage: Storage = storage_of(own.settings)
        self._key = keys.add(self.storage.db, people.add(self.storage.db, "soak@example.org"), "soak", ("read", "write"))

    def run(self, minutes: float) -> None:
        """Hand in and let faults happen for so long; then wait until all has ended, or SETTLED_S are over."""
        threads = [threading.Thread(target=self._guarded, args=(act,), daemon=True) for act in (self._hand_in, self._break)]
        for thread in threads:
            thread.start()
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end and not self.troubles:
            time.sleep(5)
            self._say(f"{(end - time.monotonic()) / 60:.0f} min to go")
        self._over.set()
        for thread in threads:
            thread.join(400)
        end = time.monotonic() + SETTLED_S
        while (left := self._under_way()) and time.monotonic() < end:
            self._say(f"waiting for {left}")
            time.sleep(2)
        self._own.wait("the end of all runs", lambda: not [*invariants.idle(self.storage)], 300, 2)
        beating = "SELECT 1 FROM leases WHERE expires_at > clock_timestamp()"
        self._own.wait("the end of all leases", lambda: not self._own.db.fetch(beating), 120)

    def clips(self) -> list[Path]:
        """Files of videos that must be completed, as they were handed in."""
        fine = self.ledger.videos()
        return [self._folder / one.name for one in self.ledger.accepted if one.video_id in fine and (self._folder / one.name).exists()]

    def _guarded(self, act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except BaseException:
            self.troubles.append(traceback.format_exc())

    def _hand_in(self) -> None:
        rng, number = random.Random(f"uploads {self._seed}"), 0
        while not self._over.is_set():
            if self._under_way() >= AT_ONCE:
                self._over.wait(1)
                continue
            number += 1
            name, way, kind = f"{self._seed}-{number:05}.mp4", rng.choice(WAYS), rng.random()
            path, refusal = self._folder / name, None
            earlier = self.clips()
            if kind < 0.1 and way != "command":
                path.write_text(f"no video, {name}")
                refusal = NOT_A_VIDEO
            elif kind < 0.25 and earlier:
                shutil.copy(rng.choice(earlier), path)  # the same bytes under another name
            else:
                seed = FIRST_EVALUATION_SEED + 10_000_000 + 100_000 * self._seed + number
                write_clip(make_clip(seed, width=320, height=180, n_frames=rng.randint(5, 40), shots=1), path)
            try:
                getattr(self, f"_by_{way}")(path, refusal, rng)
            except (httpx2.HTTPError, OSError, psycopg.Error, ReframerError) as error:
                self.not_taken[f"{way}: {type(error).__name__}"] += 1
                self.ledger.unsure[sha256_of(path)] += 1
            self._over.wait(rng.uniform(0, 4))

    def _by_folder(self, path: Path, refusal: str | None, rng: random.Random) -> None:
        """Moved into the watched folder, or written there slowly."""
        target = self._own.uploads / path.name
        if rng.random() < 0.5:
            part = self._own.uploads.parent / path.name
            shutil.copy(path, part)
            part.rename(target)
        else:
            content = path.read_bytes()
            with target.open("wb") as file:
                for start in range(0, len(content), max(1, len(content) // 3)):
                    file.write(content[start : start + max(1, len(content) // 3)])
                    file.flush()
                    time.sleep(0.2)
        self.ledger.note(path, path.name, "folder", time.time(), refusal)

    def _by_api(self, path: Path, refusal: str | None, rng: random.Random) -> None:
        """As a form. What is no video is refused at once, and is then no job."""
        with httpx2.Client(base_url=self._own.api_url, headers={"X-API-Key": self._key}, timeout=90) as client, path.open("rb") as file:
            answer = client.post("/v1/jobs", files={"file": (path.name, file)})
        if answer.status_code == 202:
            self.ledger.note(path, path.name, "api", time.time(), refusal)
            if rng.random() < 0.1:
                self._delete(answer.json()["video_id"])
        elif not (refusal and answer.json()["code"] == refusal):
            self.not_taken[f"api: {answer.json().get('code', answer.status_code)}"] += 1

    def _by_command(self, path: Path, refusal: str | None, rng: random.Random) -> None:
        """`reframer run`: its file is taken in once it has an upload, whatever becomes of the command."""
        command = [sys.executable, "-m", "reframer_pipeline", "run", str(path)]
        ended = subprocess.run(
            command, env=environment(self._own.settings.home_dir, **VARIABLES, **at_gemini(self._gemini)), capture_output=True, timeout=900
        )
        with self._one_at_a_time:
            taken = self.storage.db.fetch("SELECT 1 FROM uploads WHERE filename = %s", (path.name,))
        if taken or ended.returncode == 0:  # a film that is there already keeps its name
            self.ledger.note(path, path.name, "command", time.time(), refusal)
        else:
            self.not_taken[f"command: exit {ended.returncode}"] += 1
            self.ledger.unsure[sha256_of(path)] += 1

    def _delete(self, video_id: str) -> None:
        """A person's deletion; it counts once the API says that it is done. Nobody hands the same bytes in again."""
        if sum(one.video_id == video_id for one in self.ledger.accepted) > 1:
            return
        with httpx2.Client(base_url=self._own.api_url, headers={"X-API-Key": self._key}, timeout=90) as client:
            if client.delete(f"/v1/videos/{video_id}").status_code == 204:
                self.ledger.deleted.add(video_id)

    def _break(self) -> None:
        rng = random.Random(f"faults {self._seed}")
        bag: list[str] = []
        while not self._over.wait(rng.uniform(15, 60)):
            bag = bag or rng.sample([*sorted(FAULTS), ""], len(FAULTS) + 1)  # each of them before any comes again
            name = bag.pop()
            if not name:
                kind = rng.choice(UNPAID)
                self._gemini.script(Behaviour(kind, times=rng.randint(1, 12)))
                self.faults[f"gemini: {kind}"] += 1
                continue
            with self._one_at_a_time:
                if FAULTS[name](self._own, rng):
                    self.faults[name] += 1

    def _under_way(self) -> int:
        """Uploads that were accepted and have not ended."""
        with self._one_at_a_time, suppress(ReframerError, psycopg.Error):
            return sum(
                one.video_id not in self.ledger.deleted and invariants.end_of(self.storage, one) is None
                for one in list(self.ledger.accepted)
            )
        return AT_ONCE

    def _say(self, what: str) -> None:
        print(f"\r{len(self.ledger.accepted)} accepted, {self.faults.total()} faults, {what}    ", end="", file=sys.stderr, flush=True)


def soak(minutes: float, seed: int, folder: Path) -> list[str]:
    """Soak for so long; prints the figures, and returns what is broken, a line each."""
    files = folder / "files"
    files.mkdir()
    with FakeGemini() as gemini, Deployment(folder / "home", **at_gemini(gemini)) as own:
        one = Soak(own, gemini, seed, files)
        with Watching(embedded.server(own.settings).database_url) as reader:
            one.run(minutes)
        broken = [*one.troubles, *reader.seen, *invariants.broken(one.storage, one.ledger, WITHIN_S, paid(gemini))]
        for number, clip in enumerate(random.Random(seed).sample(one.clips(), min(2, len(one.clips())))):
            broken += invariants.recomputed(one.storage, clip, folder / f"again-{number}", gemini.url)
        figures = invariants.told(one.storage, one.ledger) | {
            "faults": dict(sorted(one.faults.items())), "not_taken": dict(one.not_taken), "looks": reader.looks,
            "paid": sum(paid(gemini).values()),
            "lost": _count(broken, "I1: ", "has not ended: uploads []"), "stuck": _count(broken, "I1: ", "has not ended"),
            "duplicated": _count(broken, "I3: "), "blamed": _count(broken, "I9: "), "broken": len(broken),
        }  # fmt: skip
        print(f"\nSeed {seed}, {minutes:g} min:\n{invariants.as_text(figures)}")
    return broken


def at_gemini(gemini: FakeGemini) -> dict[str, str]:
    """The variables by which the real client asks the stand-in."""
    return {"GEMINI_API_KEY": "soak", "GOOGLE_GEMINI_BASE_URL": gemini.url}


def paid(gemini: FakeGemini) -> dict[str, int]:
    """Answers that would have been charged, by what was asked."""
    asked = [json.dumps(one.body, sort_keys=True) for one in gemini.requests_of(Endpoint.GENERATE) if one.accepted]
    return dict(Counter(hashlib.sha256(body.encode()).hexdigest()[:12] for body in asked))


def _count(broken: list[str], beginning: str, words: str = "") -> int:
    return sum(line.startswith(beginning) and words in line for line in broken)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m reframer_pipeline_tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long videos come in and faults happen (default: 30)")
    parser.add_argument("--seed", type=int, nargs="+", default=[1], help="what happens when; one soak a seed (default: 1)")
    parser.add_argument("--keep", action="store_true", help="leave the data folders, to look into them")
    given = parser.parse_args()
    failed = 0
    for seed in given.seed:
        folder = Path(tempfile.mkdtemp(prefix=f"reframer-soak-{seed}-"))
        folder.chmod(0o711)
        broken = soak(given.minutes, seed, folder)
        failed += bool(broken)
        print("\n".join(broken) or "  Nothing is broken.", flush=True)
        if not given.keep and not broken:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"  The data folder: {folder}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
