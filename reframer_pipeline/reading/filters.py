"""Which rows of the vocabulary somebody wants.

What belongs here: what may be asked, of which table, and how Postgres is asked for it. What does not: pages (`tables`), searching over
videos (`search`). What a table can be asked follows from its columns.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Final, LiteralString

from reframer_pipeline.database.text import clean_text

if TYPE_CHECKING:
    from psycopg.sql import Composable


@dataclass(frozen=True)
class Filter:
    """What the rows must be; None: anything. Ranges are half-open. What lasts for a time is in a range if it overlaps it.

    Attributes:
        object_class: `person` or `product`.
        label: The model's own word.
        min_confidence: 0 to 1.
        from_seconds: Beginning of a range of time.
        to_seconds: Its end.
        from_frame: Beginning of a range of frames.
        to_frame: Its end.
        track_id: In this track.
        scene_number: In this scene.
        difficulty: `easy`, `medium` or `hard`.
        detection_id: This sighting.
    """

    object_class: str | None = None
    label: str | None = None
    min_confidence: float | None = None
    from_seconds: float | None = None
    to_seconds: float | None = None
    from_frame: int | None = None
    to_frame: int | None = None
    track_id: str | None = None
    scene_number: int | None = None
    difficulty: str | None = None
    detection_id: str | None = None


NOTHING: Final = Filter()
# What a table with this column can be asked, and how.
_ASKED: Final[dict[str, dict[str, LiteralString]]] = {
    "class": {"object_class": "class = {}"},
    "label": {"label": "label = {}"},
    "confidence": {"min_confidence": "confidence >= {}"},
    "timestamp": {"from_seconds": '"timestamp" >= {}', "to_seconds": '"timestamp" < {}'},
    "end_seconds": {"from_seconds": "end_seconds > {}", "to_seconds": "start_seconds < {}"},
    "frame_number": {
        "from_frame": "frame_number >= {}",
        "to_frame": "frame_number < {}",
        "scene_number": """EXISTS (SELECT 1 FROM result_scenes scene WHERE scene.result_id = one.result_id AND scene.scene_number = {}
            AND one.frame_number >= scene.start_frame AND one.frame_number < scene.end_frame)""",
    },
    "end_frame": {"from_frame": "end_frame > {}", "to_frame": "start_frame < {}"},
    "track_id": {"track_id": "track_id = {}"},
    "track_ids": {"track_id": "{} = ANY(track_ids)"},
    "scene_number": {"scene_number": "scene_number = {}"},
    "difficulty": {"difficulty": "difficulty = {}"},
    "detection_id": {"detection_id": "detection_id = {}::uuid"},
}
_OF_ITS_SIGHTING: Final = ("object_class", "label", "min_confidence", "track_id")


def askable(columns: Collection[str]) -> list[str]:
    """What a table with these columns can be asked: names of `Filter`'s attributes."""
    known = {name for column in columns for name in _ASKED.get(column, {})}
    if "mask_id" in columns:
        known.update(_OF_ITS_SIGHTING)
    return [field.name for field in fields(Filter) if field.name in known]


def conditions(columns: Collection[str], result_id: str, wanted: Filter) -> Iterator[Composable]:
    """What a row `one` of a table with these columns must satisfy, for a query within one set of results.

    What the table cannot be asked is left out: see `askable`.
    """
    from psycopg import sql

    for column in columns:
        for name, text in _ASKED.get(column, {}).items():
            if (value := getattr(wanted, name)) is not None:
                yield sql.SQL(text).format(_literal(value))
    if "mask_id" in columns and any(getattr(wanted, name) is not None for name in _OF_ITS_SIGHTING):
        its = replace(NOTHING, **{name: getattr(wanted, name) for name in _OF_ITS_SIGHTING})
        inner = sql.SQL(" AND ").join(conditions(("class", "label", "confidence", "track_id"), result_id, its))
        query = sql.SQL("detection_id IN (SELECT one.detection_id FROM result_sightings one WHERE one.result_id = {} AND {})")
        yield query.format(sql.Literal(result_id), inner)


def _literal(value: Any) -> Composable:
    from psycopg import sql

    return sql.Literal(clean_text(value) if isinstance(value, str) else value)
