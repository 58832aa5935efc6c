"""Watching the bucket: from what lies in it, and what is known, to what is to be done. Pure: no clock, file or database.

What belongs here: when a file is whole, which names are never uploads, attempts and pauses, and the memory between two ticks. What
does not: finding out (`listing`, `known`, the sensor) and doing it (the ingest job).
A file is asked for once it has been the same in two ticks at least, for the settle time. What was asked for is remembered until it is
known, which outlasts lost ticks and killed runs: a run that ended without a row is asked for again, under the next attempt's name. Only
failures that the file itself may have caused bring it nearer to being given up; while a store, a disk, a database or the bucket is away, it
is asked for as long as that lasts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from reframer_pipeline.failures import FileNotReadable, InternalError, UploadChanged
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.bucket import Entry, upload_id

MAX_STRIKES: Final = 6
# What a file may have done: a run that said nothing was killed, and what it worked on may be why. Whatever is not named here, such as
# `store_unavailable`, is trouble of the deployment: taking it for the file's would lose all uploads of a night.
STRIKES: Final = {None, UploadChanged.code, FileNotReadable.code, InternalError.code}
FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 3600.0
WATCHED: Final = 1000  # files watched at a time; others wait their turn, so that the cursor stays small
ASKED_PER_REQUEST: Final = 40  # uploads asked for and not yet known, in units of `upload_requests`: more means that something is broken

TEMPORARY_BEGINNINGS: Final = (".", "~")
TEMPORARY_ENDINGS: Final = (
    "~", ".part", ".partial", ".tmp", ".temp", ".crdownload", ".download", ".opdownload", ".filepart", ".aria2", ".!qb", ".swp",
    "_$folder$",
)  # fmt: skip
NEVER_UPLOADS: Final = {"thumbs.db", "desktop.ini", "lost+found"}


@dataclass(frozen=True)
class IngestRequest:
    """A file to be taken in.

    Attributes:
        key: Which file.
        etag: Which version of it.
        attempt: How many times it has been asked for, this one included.
        strikes: How many of the attempts before failed in a way that the file may have caused.
    """

    key: str
    etag: str
    attempt: int = 1
    strikes: int = 0

    @property
    def run_key(self) -> str:
        """The same for the same key, tag and attempt: Dagster starts one run for it, whatever happens."""
        return f"upload:{upload_id(self.key, self.etag)}:{self.attempt}"


@dataclass(frozen=True)
class IngestRun:
    """How a requested run stands.

    Attributes:
        ended_at: When it ended, in seconds since 1970; None while it waits or runs.
        failure: The code of what it met, if it said so.
    """

    ended_at: float | None = None
    failure: str | None = None


@dataclass(frozen=True)
class Cursor:
    """What is remembered from one tick to the next: only of files that are in the bucket and not yet known.

    Attributes:
        seen: Key to tag, and since when it has been that one.
        asked: Key to tag, attempt and strikes of the latest request.
    """

    seen: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    asked: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read what `text` wrote. Anything else is an empty cursor: all it costs is another settle time."""
        try:
            stored = json.loads(text or "{}")
            seen = {str(key): (str(etag), float(since)) for key, (etag, since) in stored.get("seen", {}).items()}
            asked = {str(key): (str(etag), int(tries), int(strikes)) for key, (etag, tries, strikes) in stored.get("asked", {}).items()}
        except (ValueError, TypeError, AttributeError):
            return cls()
        return cls(seen, asked)

    @property
    def text(self) -> str:
        """Compact JSON, in ASCII also for names that no encoding fits."""
        return json.dumps({"seen": self.seen, "asked": self.asked}, separators=(",", ":"))

    @property
    def requests(self) -> list[IngestRequest]:
        """The latest request of each file asked for."""
        return [IngestRequest(key, *latest) for key, latest in self.asked.items()]


@dataclass(frozen=True)
class Plan:
    """What is to be done now.

    Attributes:
        requests: To be asked for.
        abandoned: Tried in vain for the last time, each with the code that its last run left.
        cursor: For the next tick, once all this has been done.
    """

    requests: tuple[IngestRequest, ...]
    abandoned: tuple[tuple[IngestRequest, str | None], ...]
    cursor: Cursor


def is_temporary(key: str) -> bool:
    """Whether a file of this name is on its way, or was never meant as an upload: so also all in a hidden folder."""
    parts = key.lower().split("/")
    return (
        not parts[-1]  # a store's mark of a folder
        or any(part.startswith(TEMPORARY_BEGINNINGS) for part in parts)
        or parts[-1].endswith(TEMPORARY_ENDINGS)
        or not NEVER_UPLOADS.isdisjoint(parts)
    )


def pause_s(attempt: int) -> float:
    """How long to wait after this attempt has failed."""
    return min(FIRST_PAUSE_S * 4.0 ** (attempt - 1), LONGEST_PAUSE_S)


def plan(
    listing: Iterable[Entry],
    cursor: Cursor,
    known: Collection[tuple[str, str]],
    runs: Mapping[str, IngestRun],
    now: float,
    settings: Settings,
    looked_at: float | None = None,
) -> Plan:
    """What to do about a bucket.

    Args:
        listing: All that is in it.
        cursor: Of the tick before.
        known: Keys and tags that have a row in `uploads`, completed or refused. Found out after `runs`, or a run that ends in between
            would seem to have left none.
        runs: The runs of `cursor.requests` by run key, those that exist.
        now: Seconds since 1970. It may go backwards.
        settings: `upload_settle_s` and `upload_requests` are read.
        looked_at: When the listing began, if not now: a slow bucket's is from before, and what happened since is not in it.
    """
    looked_at = now if looked_at is None else min(looked_at, now)
    fresh = {one.key: one for one in listing if (one.key, one.etag) not in known and not is_temporary(one.key)}
    asked: dict[str, tuple[str, int, int]] = {}
    due: list[IngestRequest] = []
    abandoned: list[tuple[IngestRequest, str | None]] = []
    under_way = 0
    for request in cursor.requests:
        entry, run = fresh.get(request.key), runs.get(request.run_key)
        if entry is None or entry.etag != request.etag:
            continue  # known by now, gone, or another file
        asked[request.key] = request.etag, request.attempt, request.strikes
        if run is None:  # it never came to be: the same name again cannot make two of it
            due.append(request)
        elif run.ended_at is None:
            under_way += 1
        elif (strikes := request.strikes + (run.failure in STRIKES)) >= MAX_STRIKES:
            abandoned.append((request, run.failure))
        elif not 0 <= now - run.ended_at < pause_s(request.attempt):
            due.append(IngestRequest(request.key, request.etag, request.attempt + 1, strikes))

    others = sorted((one for one in fresh.values() if one.key not in asked), key=lambda one: _turn(one, cursor))[:WATCHED]
    seen = {one.key: (one.etag, _since(one, cursor, now)) for one in others}
    free = max(settings.upload_requests - under_way, 0)
    room = max(min(free, settings.upload_requests * ASKED_PER_REQUEST - len(asked)), 0)
    settled = [one for one in others if _is_settled(one, cursor, looked_at, settings.upload_settle_s)][:room]
    again = due[: free - min(len(settled), free // 2)]  # half of the places at least are for files that were not asked for yet
    requests = again + [IngestRequest(one.key, one.etag) for one in settled[: free - len(again)]]
    for request in requests:
        asked[request.key] = request.etag, request.attempt, request.strikes
        seen.pop(request.key, None)
    return Plan(tuple(requests), tuple(abandoned), Cursor(seen, asked))


def _turn(entry: Entry, cursor: Cursor) -> tuple[int, float, str]:
    """Those that are watched and have not changed stay so, then come new ones, then those that changed; the oldest first."""
    etag, _ = cursor.seen.get(entry.key, (None, 0.0))
    rank = 0 if etag == entry.etag else 1 if etag is None else 2
    return rank, entry.mtime or 0.0, entry.key


def _since(entry: Entry, cursor: Cursor, now: float) -> float:
    etag, since = cursor.seen.get(entry.key, ("", now))
    return since if etag == entry.etag and since <= now else round(now, 3)


def _is_settled(entry: Entry, cursor: Cursor, looked_at: float, settle_s: float) -> bool:
    """The same as in the tick before, for long enough, and not written to lately. A time in the future says nothing."""
    etag, since = cursor.seen.get(entry.key, ("", 0.0))
    lately = entry.mtime is not None and 0 <= looked_at - entry.mtime < settle_s
    return etag == entry.etag and looked_at - since >= settle_s and not lately
