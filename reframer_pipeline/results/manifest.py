"""The manifest: one row for each committed result, in the table `results` and in each Parquet footer.

What belongs here: the row as a value, its form in a footer, and asking for it. What does not: making results (`commit`),
judging freshness (`planning`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, Literal

from reframer_pipeline.database.postgres import Database, Row
from reframer_pipeline.stages.order import VideoCard
from reframer_pipeline.versions import Recipe, StageKey

if TYPE_CHECKING:
    import psycopg

FOOTER_FORM: Final = 1
Relink = Literal["nothing", "attachment", "all"]


@dataclass(frozen=True)
class ManifestRow:
    """What is known of one result.

    Attributes:
        result_id: UUIDv5 of the stage key.
        video_id: Its video.
        stage: Its stage.
        stage_key: Digest of `components`.
        components: What the result is a function of, see `versions.StageKey`.
        recipe: Digest of its recipe, see `versions.Recipe`.
        object_key: Its Parquet object, relative to the store.
        object_bytes: Size of that.
        attachment_key: Its attached object, such as the frame store.
        attachment_bytes: Size of that.
        row_count: Rows in Parquet.
        content_digest: Digest over the rows.
        seconds: Computing and writing the Parquet file, wall clock; of the last time it was made.
        stats: Counts and figures.
        checks: What was validated, as `CheckResult` fields.
        evicted_at: When the attached object was deleted to save space; it counts as fresh all the same.
        run_id: The run that made it last.
        created_at: When it was written, with time zone.
        recomputed_at: When the same result was last made again.
        corrects: Id of the computed result that this one, corrected by hand, stands in place of; None for computed ones.
        recipe_inputs: Stage to digest of its inputs' recipes; None when read from the database, which keeps it in `recipes`.
    """

    result_id: str
    video_id: str
    stage: str
    stage_key: str
    components: dict[str, Any]
    recipe: str
    object_key: str
    object_bytes: int
    attachment_key: str | None
    attachment_bytes: int | None
    row_count: int
    content_digest: str
    seconds: float
    stats: dict[str, Any] = field(default_factory=dict)
    checks: list[dict[str, Any]] = field(default_factory=list)
    evicted_at: datetime | None = None
    run_id: str | None = None
    created_at: datetime | None = None
    recomputed_at: datetime | None = None
    corrects: str | None = None
    recipe_inputs: dict[str, str] | None = None

    @property
    def objects(self) -> frozenset[str]:
        """Keys of its objects, also of one that was evicted."""
        return frozenset(key for key in (self.object_key, self.attachment_key) if key)

    @property
    def key(self) -> StageKey:
        """The stage key it was made for."""
        made = self.components
        recipe = Recipe(self.stage, made["code_version"], made["settings"], made["weights"], self.recipe_inputs or {})
        return StageKey(self.stage, made, recipe)

    @property
    def candidates(self) -> int:
        """Of its rows, those kept for the tracker alone: weak boxes, which are no detections to people."""
        return int(self.stats.get("candidates", 0))

    @property
    def count(self) -> int:
        """What people are told: its rows without candidates."""
        return self.row_count - self.candidates

    @property
    def inputs(self) -> dict[str, str]:
        """Stage to result id of its direct inputs."""
        found: dict[str, str] = self.components["inputs"]
        return found

    @property
    def made_from(self) -> dict[str, str]:
        """What must be there before it, by name: its inputs, and the result that it corrects."""
        return {**self.inputs, **({f"computed {self.stage}": self.corrects} if self.corrects else {})}

    def to_json(self) -> dict[str, Any]:
        """As JSON values, for the footer."""
        value: dict[str, Any] = json.loads(json.dumps(asdict(self), default=lambda time: time.isoformat()))
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ManifestRow:
        """Undo `to_json`."""
        times = {name: datetime.fromisoformat(value[name]) for name in ("created_at", "recomputed_at") if value.get(name)}
        return cls(**{**value, **times})

    @classmethod
    def from_row(cls, row: Row) -> ManifestRow:
        """From a row of `results`."""
        values: dict[str, Any] = {name: row[name] for name in _NAMES}
        ids = {name: values[name] and str(values[name]) for name in ("result_id", "video_id", "corrects")}
        return cls(**{**values, **ids})


@dataclass(frozen=True)
class Footer:
    """A manifest row (but for `object_bytes`, which the file cannot know) and its video.

    Attributes:
        manifest: The row.
        video: Its video.
        made_from: Result id to content digest of its direct inputs: which rows it was made from, should a store hold several objects
            of one result. Empty in older files.
        corrections: The corrections that it follows from, as `corrections.events.Event.to_json`.
        answer: What was paid for to make it, as `scenes.gemini.questions.told`; None of other results, and in older files.
    """

    manifest: ManifestRow
    video: VideoCard
    made_from: dict[str, str] = field(default_factory=dict)
    corrections: list[dict[str, Any]] = field(default_factory=list)
    answer: Mapping[str, Any] | None = None

    def encode(self) -> bytes:
        """As JSON in UTF-8."""
        video = {**asdict(self.video), "created_at": self.video.created_at.isoformat()}
        value = {"form": FOOTER_FORM, "manifest": self.manifest.to_json(), "video": video, "made_from": self.made_from}
        if self.corrections:
            value["corrections"] = self.corrections
        if self.answer is not None:
            value["answer"] = self.answer
        return json.dumps(value, ensure_ascii=True).encode()

    @classmethod
    def decode(cls, entry: bytes) -> Footer:
        """Undo `encode`.

        Raises:
            ValueError: Another form, or no entry of ours.
        """
        value: dict[str, Any] = json.loads(entry)
        if value.get("form") != FOOTER_FORM:
            raise ValueError(f"footer of form {value.get('form')}")
        video = {**value["video"], "created_at": datetime.fromisoformat(value["video"]["created_at"])}
        return cls(
            ManifestRow.from_json(value["manifest"]),
            VideoCard(**video),
            dict(value.get("made_from", {})),
            list(value.get("corrections", ())),
            value.get("answer"),
        )


_NAMES = tuple(f.name for f in fields(ManifestRow) if f.name != "recipe_inputs")


def find(db: Database, result_ids: Iterable[str]) -> dict[str, ManifestRow]:
    """The manifest rows of these results; unknown ones are left out."""
    rows = db.fetch("SELECT * FROM results WHERE result_id = ANY(%s::uuid[])", (list(result_ids),))
    found = map(ManifestRow.from_row, rows)
    return {row.result_id: row for row in found}


def published(db: Database, video_id: str) -> dict[str, ManifestRow]:
    """Stage to manifest row of what readers see of a video; empty before its first completion."""
    rows = map(ManifestRow.from_row, db.fetch("SELECT * FROM current_results WHERE video_id = %s", (video_id,)))
    return {row.stage: row for row in rows}


def locked(conn: psycopg.Connection[Row], result_id: str) -> ManifestRow | None:
    """The row of a result, locked until the transaction ends."""
    row = conn.execute("SELECT * FROM results WHERE result_id = %s FOR UPDATE", (result_id,)).fetchone()
    return ManifestRow.from_row(row) if row else None


def remade(conn: psycopg.Connection[Row], there: ManifestRow, made: ManifestRow, relink: Relink) -> ManifestRow:
    """Note that a result was computed again: by which run, when, and how long it took.

    Args:
        conn: In the commit's transaction.
        there: The committed row.
        made: That of the recomputation. Its figures count only if its rows are the same; if not, they tell of rows nobody has.
        relink: Which of its objects to point at, because committed ones are missing.
    """
    from psycopg.types.json import Jsonb

    now = replace(there, recomputed_at=made.created_at, run_id=made.run_id, seconds=made.seconds)
    if made.content_digest == there.content_digest:
        now = replace(now, stats=made.stats)
    names = (("object_key", "object_bytes") if relink == "all" else ()) + ("attachment_key", "attachment_bytes")
    if relink != "nothing":
        now = replace(now, evicted_at=None, **{name: getattr(made, name) for name in names})
    conn.execute(
        """UPDATE results SET recomputed_at = %(recomputed_at)s, run_id = %(run_id)s, seconds = %(seconds)s, stats = %(stats)s,
               object_key = %(object_key)s, object_bytes = %(object_bytes)s, attachment_key = %(attachment_key)s,
               attachment_bytes = %(attachment_bytes)s, evicted_at = %(evicted_at)s
           WHERE result_id = %(result_id)s""",
        {**vars(now), "stats": Jsonb(now.stats)},
    )
    return now


def insert(conn: psycopg.Connection[Row], row: ManifestRow) -> None:
    """Add a row, and its recipe if it is the first of it."""
    from psycopg import sql
    from psycopg.types.json import Jsonb

    made = row.components
    conn.execute(
        """INSERT INTO recipes (digest, stage, code_version, settings, weights, inputs) VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (digest) DO NOTHING""",
        (row.recipe, row.stage, made["code_version"], Jsonb(made["settings"]), made["weights"], Jsonb(row.recipe_inputs or {})),
    )
    values = [getattr(row, name) for name in _NAMES]
    names = sql.SQL(", ").join(map(sql.Identifier, _NAMES))
    statement = sql.SQL("INSERT INTO results ({}) VALUES ({})").format(names, sql.SQL(", ").join(sql.Placeholder() * len(_NAMES)))
    conn.execute(statement, [Jsonb(value) if isinstance(value, dict | list) else value for value in values])
