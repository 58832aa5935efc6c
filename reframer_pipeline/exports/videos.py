"""The videos of an export: which results they have, and what they are called in it.

What belongs here: choosing the results once, so that an export is of one piece, and names that are safe in any file system. What does not:
reading rows (`sightings`), formats.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from reframer_pipeline.exports.chosen import results_of_tracks, rows_of_tracks, track_ids
from reframer_pipeline.failures import NothingThere, NotPublished, ObjectMissing, ResultsGone, RowsArchived, UnknownVideo
from reframer_pipeline.handover import StageInput
from reframer_pipeline.reading.deliverables import made_of
from reframer_pipeline.reading.sheets import results_of
from reframer_pipeline.reading.tables import Table, batches
from reframer_pipeline.results.deliverable import Deliverable
from reframer_pipeline.results.storage import Storage

LONGEST_NAME: Final = 150  # bytes in UTF-8: with an id, tracks and an ending it stays below the 255 of most file systems
MOST_NAMED: Final = 3  # tracks that a file is named by; of more it says how many
# Windows takes these for devices, whatever follows the dot.
_DEVICES: Final = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")


@dataclass(frozen=True)
class Video:
    """A video whose results are chosen: what is published later does not change the export.

    Attributes:
        video_id: Its id.
        filename: As its file was called; anything that a person may have typed.
        name: What it is called in the export: a file name of letters, digits, blank and `-_.`, no other video's.
        result_id: The set of its results, named by the scenes result as in `reading.tables`.
        storage: Where these are.
        tracks: Ids of the tracks that the export is about; None: everything.
    """

    video_id: str
    filename: str
    name: str
    result_id: str
    storage: Storage
    tracks: frozenset[str] | None = None

    @property
    def title(self) -> str:
        """What an export of it alone is called: its name, and the tracks if only some were chosen. `clip-obj_003`, `clip-5-tracks`."""
        if self.tracks is None:
            return self.name
        named = len(self.tracks) <= MOST_NAMED
        return "-".join([self.name, *(sorted(self.tracks) if named else (str(len(self.tracks)), "tracks"))])

    def of_tracks(self, tracks: Collection[str]) -> Video:
        """The same video, with these tracks alone; with everything if none are named.

        Raises:
            NothingThere: It has no such track.
            ObjectMissing: As for `open`.
        """
        if not tracks:
            return self
        if strange := sorted(set(tracks) - track_ids(self.open()["trajectories"])):
            raise NothingThere(f"{self.filename} has no track {strange[0]}.", "`reframer show` and the list of tracks name them.")
        return replace(self, tracks=frozenset(tracks))

    def open(self) -> dict[str, StageInput]:
        """Its results by stage, as streams. Raises `ObjectMissing` if one was deleted meanwhile, with or without the video."""
        try:
            results = results_of(self.storage, self.result_id)
        except ResultsGone as gone:
            raise self.deleted() from gone
        return results if self.tracks is None else results_of_tracks(results, self.tracks)

    def rows(self, table: Table) -> Iterator[pa.RecordBatch]:
        """Its rows in a table of the vocabulary.

        Raises:
            RowsArchived: They are away, or went while they were read.
            ObjectMissing: As for `open`.
        """
        try:
            rows = batches(self.storage.db, table, self.result_id)
            yield from rows if self.tracks is None else rows_of_tracks(table, rows, self.tracks, lambda: self.open()["trajectories"])
        except ResultsGone as gone:
            raise self.deleted() from gone
        except RowsArchived as away:
            raise RowsArchived(f"{self.filename} (video {self.video_id}): {away.message}") from away

    def kept(self) -> list[Deliverable]:
        """The mattes and reframed videos of these results that are kept, the oldest first, as who calls it so sees them."""
        return made_of(self.storage.db, [(self.result_id, self.filename)])

    def deleted(self) -> ObjectMissing:
        """What to raise when results went meanwhile."""
        return ObjectMissing(f"Results of video {self.video_id} were deleted during the export.", "Start the export again.")


def facts(results: Mapping[str, StageInput]) -> dict[str, Any]:
    """The row of `schemas.METADATA`: displayed size, frame rate, number of frames."""
    (row,) = (row for batch in results["metadata"].batches() for row in batch.to_pylist())
    return dict(row)


def published_videos(storage: Storage, video_ids: Collection[str]) -> list[Video]:
    """The videos with these ids, in this order, each with the results that are published now.

    Args:
        storage: Where they are.
        video_ids: Whole ids; one that occurs again counts once.

    Raises:
        UnknownVideo: There is no such video.
        NotPublished: One has no results.
    """
    wanted = list(dict.fromkeys(video_ids))
    rows = storage.db.fetch(
        """SELECT v.id::text AS id, v.filename, v.failure_code, v.failure_message, p.result_id::text AS result_id
           FROM videos v LEFT JOIN published p ON p.video_id = v.id AND p.stage = 'scenes' WHERE v.id = ANY(%s::uuid[])""",
        (wanted,),
    )
    found = {row["id"]: row for row in rows}
    for video_id in wanted:
        if video_id not in found:
            raise UnknownVideo(f"There is no video {video_id}.")
        row = found[video_id]
        if row["result_id"] is None:
            why = f"It failed with [{row['failure_code']}]: {row['failure_message']}" if row["failure_code"] else None
            raise NotPublished(f"Video {video_id} has no results{'' if why else ' yet'}.", why)
    return videos_of(storage, {one: (found[one]["filename"], found[one]["result_id"]) for one in wanted})


def videos_of(storage: Storage, chosen: Mapping[str, tuple[str, str]]) -> list[Video]:
    """Videos whose results are chosen already.

    Args:
        storage: Where they are.
        chosen: By id, what its file is called, and the set of its results.
    """
    names = _names({video_id: filename for video_id, (filename, _) in chosen.items()})
    return [Video(video_id, filename, names[video_id], result_id, storage) for video_id, (filename, result_id) in chosen.items()]


def have_results(storage: Storage) -> list[str]:
    """The ids of all videos of which something is published, the oldest first."""
    query = "SELECT id::text AS id FROM videos v WHERE EXISTS (SELECT FROM published p WHERE p.video_id = v.id) ORDER BY created_at, id"
    return [row["id"] for row in storage.db.fetch(query)]


def safe_name(filename: str) -> str:
    """A file's name without its ending as a name that is one in every file system and format, and in no way a path.

    Letters and digits of all scripts stay, and so do blanks within and `-_.`; everything else becomes `_`.
    """
    base = unicodedata.normalize("NFC", re.split(r"[/\\]", filename)[-1])  # some file systems take both forms of é for one
    stem = re.sub(r"(?<=.)\.\w{1,5}$", "", base)
    name = re.sub(r"[^\w .-]", "_", stem).encode()[:LONGEST_NAME].decode(errors="ignore").strip(" .")
    return f"_{name}" if not name or name.startswith("-") or _DEVICES.match(name) else name


def _names(filenames: Mapping[str, str]) -> dict[str, str]:
    """A name for each id; those that would be the same, also to who does not tell case, have the id appended."""
    names = {video_id: safe_name(filename) for video_id, filename in filenames.items()}
    times = Counter(name.casefold() for name in names.values())
    told_apart = {one: name if times[name.casefold()] == 1 else f"{name}-{one[:8]}" for one, name in names.items()}
    again = Counter(name.casefold() for name in told_apart.values())
    return {one: name if again[name.casefold()] == 1 else f"{name}-{one}" for one, name in told_apart.items()}
