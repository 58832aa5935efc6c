"""A video as a player needs it: what a browser must know before it plays the file, and when each frame is shown.

What belongs here: type, beginning and times, from the facts and the frames that are kept. What does not: the copy that browsers can play
(`results.proxies`), sending files (`api`).

A browser's media time counts from the container's time 0, as FFmpeg's times do, and not from the first frame: Chromium, of a file whose
first frame stands at 0.48 s, presents it with the media time 0.48, and never moves it. So to have our seconds, which begin with the first
frame, the first frame's time is taken away. That was measured for B-frames with an edit list and without, a cut whose edit list hides
frames, gaps before the pictures, sound that begins earlier or later, fragments, variable rate and rotation
(by the tests `api/test_film_in_browser.py`).
"""

from __future__ import annotations

import functools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from reframer_pipeline.failures import NotPublished
from reframer_pipeline.media.boxes import boxes_of
from reframer_pipeline.media.codecs import media_type
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.reading.library import Seen
from reframer_pipeline.reading.sheets import results_of
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.store.objects import video_key

DIGITS: Final = 6  # of a second: what is written of times


@dataclass(frozen=True)
class Film:
    """What is known of a video's file.

    Attributes:
        sha256: Its digest.
        type: What a browser is asked whether it can play it; None: it cannot, or would not show what we measured.
        start_seconds: Media time of the first frame.
    """

    sha256: str
    type: str | None
    start_seconds: float


def film(storage: Storage, seen: Seen) -> Film:
    """The file of a video that somebody sees. Before it was measured there is no type.

    Raises:
        ObjectMissing: The file is not in the store any more.
        StoreUnavailable: It cannot be read.
    """
    known = facts(storage, seen.video_id)
    sha256 = known.sha256 if known else _digest(storage, seen.video_id)
    if known is None:
        return Film(sha256, None, 0.0)
    first = known.start_pts or 0
    if seen.result_id is not None:
        first = _first_pts(storage, seen.result_id, first)
    return Film(sha256, _type(storage, sha256, known.stream_index), float(first * known.time_base))


def original(storage: Storage, seen: Seen) -> tuple[str, str]:
    """Digest and media type of the uploaded file."""
    known = facts(storage, seen.video_id)
    sha256 = known.sha256 if known else _digest(storage, seen.video_id)
    return sha256, "video/x-msvideo" if known and known.container == "avi" else "video/mp4"  # browsers know no other name for mov


def facts(storage: Storage, video_id: str) -> VideoMetadata | None:
    """What was measured of a video's file, also where nothing is published yet; None before."""
    query = "SELECT result_id::text AS id FROM results WHERE video_id = %s AND stage = 'metadata' ORDER BY created_at DESC LIMIT 1"
    row = storage.db.fetch_one(query, (video_id,))
    return None if row is None else _facts(storage, row["id"])


def demand_facts(storage: Storage, seen: Seen) -> VideoMetadata:
    """The same. Raises `NotPublished` before it was measured."""
    known = facts(storage, seen.video_id)
    if known is None:
        raise NotPublished(f"{seen.words} has not been measured yet.", "Wait until its job has begun.")
    return known


def times(storage: Storage, result_id: str) -> Iterator[str]:
    """When each frame is shown, and which were looked at, as pieces of a JSON document: `{"seconds": […], "sampled": […]}`.

    Args:
        storage: Where it is.
        result_id: The set, see `reading.tables`. Of its sampled frames 4 bytes each are held.

    Raises:
        ResultsGone: The set is not there any more.
    """
    frames = results_of(storage, result_id)["frames"]
    sampled, begun = array("i"), False
    yield '{"seconds":['
    for batch in frames.batches(["frame_number", "timestamp", "sampled"]):
        sampled.extend(batch.column("frame_number").filter(batch.column("sampled")).to_pylist())
        yield ("," if begun else "") + ",".join(_short(seconds) for seconds in batch.column("timestamp").to_pylist())
        begun = True
    yield '],"sampled":['
    yield ",".join(map(str, sampled))
    yield "]}"


def _short(seconds: float) -> str:
    return f"{seconds:.{DIGITS}f}".rstrip("0").rstrip(".")


def _digest(storage: Storage, video_id: str) -> str:
    (row,) = storage.db.fetch("SELECT sha256 FROM videos WHERE id = %s", (video_id,))
    return str(row["sha256"])


# What these three find never changes: results and uploads are never written over. A player asks for it again and again.


@functools.lru_cache(256)
def _facts(storage: Storage, result_id: str) -> VideoMetadata:
    (batch,) = storage.results.open(result_id).batches()
    return VideoMetadata.from_batch(batch)


@functools.lru_cache(256)
def _first_pts(storage: Storage, result_id: str, otherwise: int) -> int:
    frames = results_of(storage, result_id)["frames"]
    return next((int(batch.column("pts")[0].as_py()) for batch in frames.batches(["pts"]) if batch.num_rows), otherwise)


@functools.lru_cache(256)
def _type(storage: Storage, sha256: str, stream_index: int) -> str | None:
    with storage.store.open_object(video_key(sha256)) as file:
        return media_type(boxes_of(file), stream_index)
