"""The vocabulary of results: five flat tables, the same in Postgres, Parquet, JSON and pandas.

What belongs here: their columns with type and unit, and reading their rows of one consistent set. What does not: how they come out of what
the stages keep (`sql/0009_vocabulary.sql`), formats (`exports`). The views `result_…` are read, by the id of a scenes result: what that
was made from belongs together, so pages that are read later belong to it as well, even if the video is computed anew meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.failures import NotPublished, ResultsGone, RowsArchived
from reframer_pipeline.reading.filters import NOTHING, Filter, conditions
from reframer_pipeline.reading.parts import read_part
from reframer_pipeline.work.videos import get_video, plain

if TYPE_CHECKING:
    import psycopg

GONE: Final = "The results that were being read have been replaced by newer ones, and deleted."
PAGE: Final = 2_000  # rows; a mask is some 9 kB

_TEXT, _INT, _FLOAT, _TEXTS, _INTS = pa.string(), pa.int32(), pa.float64(), pa.list_(pa.string()), pa.list_(pa.int32())


@dataclass(frozen=True)
class Column:
    """A column of the vocabulary.

    Attributes:
        name: The same everywhere.
        type: In Arrow. UUIDs are texts.
        says: What it holds, with its unit.
        nullable: Whether it may be empty; `says` tells when.
    """

    name: str
    type: pa.DataType
    says: str
    nullable: bool = False


@dataclass(frozen=True)
class Table:
    """A table of the vocabulary.

    Attributes:
        name: Of the view of published rows; `result_` before it is the view of all.
        says: What a row is.
        key: Columns that tell the rows of one set apart; they come in this order.
        columns: In order.
        source: Column of `result_sets` that names the result in which the rows of a set lie; None: the set's own.
    """

    name: str
    says: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]
    source: str | None = None

    @property
    def schema(self) -> pa.Schema:
        """Its columns in Arrow."""
        return pa.schema([pa.field(one.name, one.type, one.nullable) for one in self.columns])


_IDENTITY = (
    Column("video_id", _TEXT, "the video"),
    Column("result_id", _TEXT, "the set of results that the row belongs to: the id of its scenes result"),
)
_SPAN = (
    Column("start_frame", _INT, "first frame"),
    Column("end_frame", _INT, "the frame after the last"),
)
_NOT_MEASURED = "empty beyond the 500 most prominent tracks of a scene"


def _measured(why: str) -> tuple[Column, ...]:
    return (
        Column("area_share", _FLOAT, f"mean share of the picture, 0 to 1; {why}", True),
        Column("max_area_share", _FLOAT, "largest share of the picture, 0 to 1", True),
        Column("occlusion", _FLOAT, "share of it that is hidden, 0 to 1", True),
        Column("overlap", _FLOAT, "share of its box under other boxes, 0 to 1", True),
        Column("mask_stability", _FLOAT, "how sure its outline is, 0 to 1; empty without masks", True),
        Column("shape_change", _FLOAT, "how much its area changes from look to look, as a share", True),
        Column("speed", _FLOAT, "frame diagonals a second", True),
        Column("border_share", _FLOAT, "share of its sightings at the border of the picture, 0 to 1", True),
        Column(
            "plate_never_seen", _FLOAT, "share of its area behind which no frame shows anything, 0 to 1; empty where the camera moves", True
        ),
        Column("plate_missing", _FLOAT, "the same part as a share of the picture, 0 to 1", True),
    )


SCENES: Final = Table(
    "scenes", "a scene", ("scene_number",),
    (
        *_IDENTITY,
        Column("scene_number", _INT, "from 1"),
        *_SPAN,
        Column("start_seconds", _FLOAT, "its beginning"),
        Column("end_seconds", _FLOAT, "its end"),
        Column("seconds", _FLOAT, "its length"),
        Column("scene_type", _TEXT, "`person`, `product`, `both` or `none`"),
        Column("importance", _INT, "1 to 10"),
        Column("description", _TEXT, "what happens"),
        Column("describer", _TEXT, "`local` or `gemini`"),
    ),
)  # fmt: skip
TRACKS: Final = Table(
    "tracks", "one person or product through time", ("track_id",),
    (
        *_IDENTITY,
        Column("track_id", _TEXT, "such as `obj_001`"),
        Column("class", _TEXT, "`person` or `product`"),
        Column("label", _TEXT, "the model's own word that it was given most often"),
        *_SPAN,
        Column("start_seconds", _FLOAT, "its first sighting"),
        Column("end_seconds", _FLOAT, "end of the time that its last sighting stands for"),
        Column("seconds", _FLOAT, "seconds on screen: the sum of what its sightings stand for"),
        Column("sightings", _INT, "sampled frames that it was seen in"),
        Column("confidence", _FLOAT, "mean confidence of its boxes, 0 to 1"),
        Column("scene_number", _INT, f"its scene; {_NOT_MEASURED}", True),
        *_measured(_NOT_MEASURED),
        Column("by_hand", _TEXTS, "what of it was corrected by hand: `class`, `label`, `merged`, `split`"),
    ),
    "trajectories_id",
)  # fmt: skip
SIGHTINGS: Final = Table(
    "sightings", "a person or product in a sampled frame", ("frame_number", "ordinal"),
    (
        *_IDENTITY,
        Column("frame_number", _INT, "the frame"),
        Column("timestamp", _FLOAT, "its time, seconds"),
        Column("ordinal", _INT, "place within the frame, the most confident first"),
        Column("detection_id", _TEXT, "names the sighting; its mask has the same"),
        Column("track_id", _TEXT, "its track; empty if it is in none", True),
        Column("class", _TEXT, "`person` or `product`"),
        Column("label", _TEXT, "the model's own word"),
        Column("confidence", _FLOAT, "0 to 1"),
        Column("x", _FLOAT, "left edge of its box, pixels"),
        Column("y", _FLOAT, "upper edge of its box, pixels"),
        Column("width", _FLOAT, "of its box, pixels"),
        Column("height", _FLOAT, "of its box, pixels"),
        Column("seconds", _FLOAT, "what it stands for: until the next sampled frame, within its shot; empty without a track", True),
    ),
    "detections_id",
)  # fmt: skip
MASKS: Final = Table(
    "masks", "the pixels of a sighting", ("frame_number", "detection_id"),
    (
        *_IDENTITY,
        Column("frame_number", _INT, "the frame"),
        Column("timestamp", _FLOAT, "its time, seconds"),
        Column("mask_id", _TEXT, "names the mask"),
        Column("detection_id", _TEXT, "the sighting"),
        Column("frame_height", _INT, "of the picture, pixels"),
        Column("frame_width", _INT, "of the picture, pixels"),
        Column("mask_rle", _TEXT, 'COCO run lengths, down the columns, zeros first: `"3,5,10"`'),
        Column("mask_area_pixels", pa.int64(), "pixels set"),
        Column("predicted_iou", _FLOAT, "how good SAM2 thinks it is, 0 to 1"),
        Column("stability", _FLOAT, "how little it changes when its limit moves, 0 to 1"),
    ),
    "masks_id",
)  # fmt: skip
ELEMENTS: Final = Table(
    "elements", "something that could be replaced", ("scene_number", "element_number"),
    (
        *_IDENTITY,
        Column("scene_number", _INT, "its scene"),
        Column("element_number", _INT, "place in the scene, from 1"),
        Column("class", _TEXT, "`person` or `product`"),
        Column("label", _TEXT, "the model's own word, or the class"),
        Column("description", _TEXT, "what it is"),
        Column("difficulty", _TEXT, "`easy`, `medium` or `hard`: the measured one, or Gemini's where no track was found"),
        Column("difficulty_score", _FLOAT, "0 to 100: not easy from 33, hard from 67; empty where nothing was measured", True),
        Column("reasons", _TEXTS, "what makes it difficult, in words, the strongest first"),
        Column("measured_difficulty", _TEXT, "by the figures; empty where no track was found", True),
        Column("model_difficulty", _TEXT, "in Gemini's opinion, if it was asked", True),
        Column("model_reason", _TEXT, "why, in Gemini's words", True),
        Column("start_seconds", _FLOAT, "seen from, seconds"),
        Column("end_seconds", _FLOAT, "seen until, seconds"),
        Column("seconds", _FLOAT, "seconds on screen in this scene; empty where no track was found", True),
        *_measured("empty where no track was found"),
        Column("plate_frames", _INTS, "at most three frames that show most of what lies behind it, the one that shows most first"),
        Column("track_ids", _TEXTS, "the tracks that it stands for"),
        Column("match_confidence", _FLOAT, "how surely Gemini's element is this track, 0 to 1", True),
        Column("source", _TEXT, "`local` or `gemini`", True),
        Column("by_hand", _TEXTS, "what of it or of its tracks was corrected by hand: as for tracks, and `difficulty`"),
    ),
)  # fmt: skip
TABLES: Final = {one.name: one for one in (SCENES, TRACKS, SIGHTINGS, MASKS, ELEMENTS)}


def published_set(db: Database, video_id: str) -> str:
    """The set of a video's results that readers are to see: the id of its scenes result.

    Raises:
        NotPublished: There is none yet.
        RowsArchived: Its rows are away.
        UnknownVideo: There is no such video.
    """
    row = db.fetch_one("SELECT result_id::text, archived_at FROM current_results WHERE video_id = %s AND stage = 'scenes'", (video_id,))
    if row is None:
        raise NotPublished(f"{get_video(db, video_id)['filename']} (video {video_id}) has no results yet.")
    if row["archived_at"] is not None:
        raise RowsArchived(f"{get_video(db, video_id)['filename']} (video {video_id}) was archived on {row['archived_at']:%Y-%m-%d}.")
    return str(row["result_id"])


def page(
    db: Database,
    table: Table,
    result_id: str,
    after: Sequence[Any] = (),
    limit: int = PAGE,
    columns: Sequence[str] | None = None,
    wanted: Filter = NOTHING,
) -> list[Row]:
    """As `part`, whatever its size. Returns the rows alone."""
    return part(db, table, result_id, after, limit, columns=columns, wanted=wanted)[0]


def part(
    db: Database,
    table: Table,
    result_id: str,
    after: Sequence[Any] = (),
    limit: int = PAGE,
    characters: float = math.inf,
    columns: Sequence[str] | None = None,
    wanted: Filter = NOTHING,
) -> tuple[list[Row], bool]:
    """Rows of a table in the order of its key; the next part begins after the key of the last row.

    Args:
        db: The database.
        table: Of `TABLES`.
        result_id: The set, see `published_set`.
        after: Values of the table's key; none: from the beginning.
        limit: Rows at most.
        characters: Of the rows' values at most; a row that has more comes alone. Hardly more is read.
        columns: Only these; all by default. Those of the key are always among them.
        wanted: Which rows.

    Returns:
        Dicts, UUIDs as texts; and whether there are more rows.

    Raises:
        ResultsGone: There is no such set, or no longer.
        RowsArchived: Its rows are away.
    """
    from psycopg import sql

    names = [one.name for one in table.columns if columns is None or one.name in columns or one.name in table.key]
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    where = [sql.SQL("result_id = {}").format(result_id), *conditions([one.name for one in table.columns], result_id, wanted)]
    if after:
        where.append(sql.SQL("({}) > ({})").format(key, sql.SQL(", ").join(map(sql.Literal, after))))

    def act(conn: psycopg.Connection[Row]) -> tuple[list[Row], bool]:
        it = _demand_rows(conn, result_id)
        source = [] if table.source is None else [sql.SQL("source_id = {}").format(it[table.source])]
        query = sql.SQL("SELECT {} FROM {} one WHERE {} ORDER BY {} LIMIT {}").format(
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.Identifier(f"result_{table.name}"),
            sql.SQL(" AND ").join([*where, *source]),
            key,
            limit + 1,
        )
        found, more = read_part(conn, query, None, limit, characters)
        return list(map(plain, found)), more

    return db.run(act, snapshot=True)


def demand_rows(db: Database, result_id: str) -> None:
    """Go on only if a set and its rows are there: whoever has read whole tables asks afterwards, and knows that nothing was missing.

    Raises:
        ResultsGone, RowsArchived: They are not.
    """
    db.run(lambda conn: _demand_rows(conn, result_id))


def _demand_rows(conn: psycopg.Connection[Row], result_id: str) -> Row:
    row = conn.execute("SELECT * FROM result_sets WHERE result_id = %s", (result_id,)).fetchone()
    if row is None:
        raise ResultsGone(GONE)
    if row["archived_at"] is not None:
        raise RowsArchived(f"The results that were being read were archived on {row['archived_at']:%Y-%m-%d}.")
    return row


def pages(
    db: Database, table: Table, result_id: str, size: int = PAGE, columns: Sequence[str] | None = None, wanted: Filter = NOTHING
) -> Iterator[list[Row]]:
    """Page after page, each in a short transaction of its own: whoever takes them may be slow.

    Raises:
        ResultsGone, RowsArchived: As `page` does, at any page.
    """
    after: tuple[Any, ...] = ()
    while found := page(db, table, result_id, after, size, columns, wanted):
        yield found
        if len(found) < size:
            return
        after = tuple(found[-1][name] for name in table.key)


def rows(
    db: Database, table: Table, result_id: str, size: int = PAGE, columns: Sequence[str] | None = None, wanted: Filter = NOTHING
) -> Iterator[Row]:
    """All rows, one by one, read as `pages` are."""
    return chain.from_iterable(pages(db, table, result_id, size, columns, wanted))


def batches(db: Database, table: Table, result_id: str, rows: int = PAGE) -> Iterator[pa.RecordBatch]:
    """All rows of a table, read as `pages` are."""
    return (pa.RecordBatch.from_pylist(found, schema=table.schema) for found in pages(db, table, result_id, rows))
