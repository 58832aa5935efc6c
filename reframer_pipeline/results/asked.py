"""What a request to correct names: the things of the set that it was made for, and no others.

What belongs here: what readers see, the events of a request, and seeing that its ids still mean what they meant. What does not: showing
readers what follows (`correcting`).

Ids belong to one set. Where another one is shown by now, what bears an id must look as it did, or nothing is corrected. The ids of tracks
that the request itself makes by splitting are foretold by whoever asks, and told anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reframer_pipeline.corrections import log
from reframer_pipeline.corrections import tracks as tracking
from reframer_pipeline.corrections.applying import NEW, ROWS, correct_tracks, element_of, evidence_of
from reframer_pipeline.corrections.events import Change, Event, Regrade, Split
from reframer_pipeline.corrections.tracks import Tracks
from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import CorrectionRefused, NotPublished, ReframerError, ResultsChanged, ResultsGone, RowsArchived
from reframer_pipeline.results import manifest, publishing
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.store.objects import ObjectStore
from reframer_pipeline.work.videos import get_video, in_words

if TYPE_CHECKING:
    import psycopg

    Conn = psycopg.Connection[Row]


@dataclass(frozen=True)
class Place:
    """Where a video's results are.

    Attributes:
        db: The database.
        store: Its store.
        scratch: Folder for files on their way.
        video_id: The video.
    """

    db: Database
    store: ObjectStore
    scratch: Path
    video_id: str

    def opened(self, result_ids: Mapping[str, str]) -> dict[str, StoredResult]:
        """Results by stage; those that do not exist are left out."""
        found = manifest.find(self.db, result_ids.values())
        return {stage: StoredResult(found[one], self.store) for stage, one in result_ids.items() if one in found}


@dataclass(frozen=True)
class Shown:
    """A set as far as corrections speak of it.

    Attributes:
        tracks: Its tracks.
        scenes: Its analyses.
        rows: Digest of the computed tracks that it follows from.
    """

    tracks: Tracks
    scenes: Sequence[Mapping[str, Any]]
    rows: str


@dataclass(frozen=True)
class Seen:
    """What readers see of a video, and what it follows from.

    Attributes:
        events: The corrections that count.
        computed: The computed set, by stage.
        result_id: The set that readers see, by its scenes.
        shown: That set.
    """

    events: list[Event]
    computed: dict[str, StoredResult]
    result_id: str
    shown: Shown


def look(place: Place) -> Seen:
    """What readers see. Raises `NotPublished`, `RowsArchived`."""

    def read(conn: Conn) -> tuple[list[Event], list[Row], bool]:
        query = "SELECT stage, result_id::text, coalesce(corrects, result_id)::text AS computed FROM current_results WHERE video_id = %s"
        there = conn.execute(query, (place.video_id,)).fetchall()
        return log.standing(conn, place.video_id), there, publishing.archived(conn, place.video_id)

    events, shown, archived = place.db.run(read, snapshot=True)
    if not shown:
        raise NotPublished(f"{get_video(place.db, place.video_id)['filename']} (video {place.video_id}) has no results yet.")
    if archived:
        raise RowsArchived(f"{in_words(place.db, place.video_id)} is archived.")
    computed = place.opened({row["stage"]: row["computed"] for row in shown})
    scenes = place.opened({row["stage"]: row["result_id"] for row in shown})["scenes"]
    digest = computed["trajectories"].manifest.content_digest
    tracks = correct_tracks(tracking.read(computed["trajectories"].batches()), events, digest).tracks
    return Seen(events, computed, scenes.result_id, Shown(tracks, _analyses(scenes), digest))


def named(place: Place, result_id: str) -> Shown:
    """A set by its scenes. Raises `ResultsGone`."""
    scenes = place.opened({"scenes": result_id}).get("scenes")
    inputs = place.opened(scenes.manifest.inputs) if scenes is not None and scenes.manifest.video_id == place.video_id else {}
    if scenes is None or "trajectories" not in inputs:
        raise ResultsGone(
            "The results that the correction was made for are kept no more.", "Look at the newest results, and correct those."
        )
    tracks = inputs["trajectories"]
    return Shown(tracking.read(tracks.batches()), _analyses(scenes), tracks.manifest.content_digest)


def _analyses(scenes: StoredResult) -> list[dict[str, Any]]:
    return [json.loads(one) for batch in scenes.batches(["analysis"]) for one in batch.column(0).to_pylist()]


def events_of(ids: Sequence[str], changes: Sequence[Change], meant: Shown, now: Shown) -> list[Event]:
    """What is to be kept of changes.

    Args:
        ids: Of the events.
        changes: By the ids of `meant`, each after the ones before it.
        meant: The set that they were made for.
        now: The set that readers see.

    Raises:
        UnknownTrack, UnknownElement, CorrectionRefused, TracksOverlap: A change does not fit.
        ResultsChanged: An id means something else by now.
    """
    then, tracks, names, events = meant.tracks, now.tracks, dict[str, str](), list[Event]()
    for event_id, asked in zip(ids, changes, strict=True):
        here = asked.model_copy(
            update={name: names.get(one, one) for name in ("track_id", "other_id") if (one := getattr(asked, name, None)) is not None}
        )
        evidence = evidence_of(here, tracks, now.scenes)
        try:
            told = evidence_of(asked, then, meant.scenes)
        except ReframerError as unknown:
            raise ResultsChanged("What the correction names was not there in the results that it was made for.") from unknown
        if [_looks(one) for one in told.values()] != [_looks(one) for one in evidence.values()]:
            raise ResultsChanged("The results changed meanwhile: what the correction names is something else by now.")
        if isinstance(asked, Regrade) and element_of(asked, now.scenes)[1]["difficulty"] == asked.difficulty:
            raise CorrectionRefused(f"That element is {asked.difficulty} already.")
        number = {NEW: tracks.next_number} if isinstance(asked, Split) else {}
        events.append(Event(event_id, here, {**evidence, **number, ROWS: now.rows}))
        if isinstance(asked, Split):
            names[f"obj_{then.next_number:03d}"] = f"obj_{tracks.next_number:03d}"
        tracks = tracking.change(tracks, here)
        then = _changed(then, asked)
    return events


def _changed(tracks: Tracks, asked: Change) -> Tracks:
    try:
        return tracking.change(tracks, asked)
    except ReframerError:  # it was so already, and somebody made it otherwise since
        return tracks


def _looks(evidence: Mapping[str, Any]) -> tuple[Any, ...]:
    """What of evidence no correction of a name changes."""
    if "boxes" in evidence:
        return (evidence["boxes"],)
    words = evidence["description"] if not evidence["tracks"] else None
    return evidence["frames"], [one["boxes"] for one in evidence["tracks"]], words
