"""The invariants: what holds after any fault, checked from outside, on the real database and the real store.

What belongs here: one function an invariant, each of which returns a line for whatever is broken, and `broken`, which asks them all.
What does not: faults, and I4 while a fault goes on (`watching`). Nothing here trusts the product's own word where it can count itself:
Parquet is digested again, rows are compared with those that it would give today, objects are listed.

    I1  each accepted upload ends completed, or failed with the code that its bytes deserve, within its time
    I2  completed means: six results of one set; rows, Parquet, manifest and published set agree
    I3  nothing twice: one video a content, one upload a file handed in, one result a key, no number twice
    I5  computed again from nothing, each result has the same content digest
    I6  after a sweep nothing is left: no unfinished file, no object that no row names, no lease, no pool slot
    I7  at most one paid answer of Gemini a question
    I8  what people deleted is gone, and stays so
    I9  no video is blamed for what its surroundings did
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psycopg
import pytest
from pydantic import SecretStr

from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import ReframerError
from reframer_pipeline.orchestration.tags import GPU_POOL
from reframer_pipeline.results import rows
from reframer_pipeline.results.digest import ContentDigest
from reframer_pipeline.results.manifest import ManifestRow
from reframer_pipeline.results.publishing import archived
from reframer_pipeline.results.storage import Storage, open_storage
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.retention import orphans
from reframer_pipeline.retention.sweep import sweep
from reframer_pipeline.running import dagster_home
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.scratch import sweep_scratch
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import BY_NAME, NAMES
from reframer_pipeline.uploads.content import sha256_of
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.versions import video_id_of
from reframer_pipeline_tests.faults.ledger import Accepted, Ledger

OF_SURROUNDINGS = {"run_died", "interrupted", "lease_lost", "video_busy"}  # ends of a run whose process or lease went
UNFINISHED = (".part", ".tmp")


def broken(storage: Storage, ledger: Ledger, within_s: float, answers: Mapping[str, int] | None = None) -> list[str]:
    """Everything that does not hold, a line each; empty if all is well. Nothing may be at work.

    Args:
        storage: The deployment's database and store. It is swept (I6).
        ledger: What was handed in and deleted.
        within_s: From its acceptance to its end, each upload.
        answers: Paid answers that Gemini's stand-in counted, by question.
    """
    return [
        *ended(storage, ledger, within_s),
        *agreeing(storage),
        *single(storage, ledger),
        *clean(storage),
        *idle(storage),
        *(f"I7: question {digest} was paid {paid} times" for digest, paid in (answers or {}).items() if paid > 1),
        *gone(storage, ledger),
        *blamed(storage, ledger),
    ]


def ended(storage: Storage, ledger: Ledger, within_s: float) -> Iterator[str]:
    """I1."""
    for one in ledger.accepted:
        if one.video_id in ledger.deleted:
            continue
        end = end_of(storage, one)
        if end is None:
            yield f"I1: {one.name} ({one.way}) was accepted and has not ended: {_standing(storage, one)}"
        elif one.refusal is not None and end[1] != one.refusal:
            yield f"I1: {one.name} should have ended as {one.refusal}, and ended as {end[1]}"
        elif end[0] - one.at > within_s:
            yield f"I1: {one.name} took {end[0] - one.at:.0f} s to its end"


def end_of(storage: Storage, one: Accepted) -> tuple[float, str | None] | None:
    """When an upload ended, seconds since the epoch, and its failure code; None while it has not."""
    # who has a film already keeps its name, so it is looked for by its content, too
    uploads = storage.db.fetch("SELECT * FROM uploads WHERE filename = %s OR video_id = %s ORDER BY created_at", (one.name, one.video_id))
    videos = storage.db.fetch("SELECT * FROM videos WHERE id = %s AND status IN ('completed', 'failed')", (one.video_id,))
    for upload in uploads:
        if upload["status"] == "failed" and upload["filename"] == one.name:
            return upload["created_at"].timestamp(), upload["failure_code"]
    if not uploads or not videos:
        return None
    (video,) = videos
    query = "SELECT max(finished_at) AS at FROM processing_jobs WHERE video_id = %s AND finished_at IS NOT NULL"
    (last,) = storage.db.fetch(query, (one.video_id,))
    good = "SELECT min(finished_at) AS at FROM processing_jobs WHERE video_id = %s AND status = 'completed'"  # later ones made it better
    (first,) = storage.db.fetch(good, (one.video_id,))
    known = [at.timestamp() for at in ((first["at"],) if video["status"] == "completed" else (last["at"],)) if at is not None]
    return max([*known, uploads[0]["created_at"].timestamp()]), video["failure_code"]


def _standing(storage: Storage, one: Accepted) -> str:
    uploads = storage.db.fetch("SELECT status, failure_code FROM uploads WHERE filename = %s", (one.name,))
    videos = storage.db.fetch("SELECT status, failure_code FROM videos WHERE id = %s", (one.video_id,))
    jobs = storage.db.fetch("SELECT status, stage, failure_code FROM processing_jobs WHERE video_id = %s", (one.video_id,))
    return f"uploads {uploads}, video {videos}, jobs {jobs}"


def agreeing(storage: Storage) -> Iterator[str]:
    """I2."""
    query = "SELECT video_id::text, stage, result_id::text FROM published"
    sets: dict[str, dict[str, str]] = {}
    for row in storage.db.fetch(query):
        sets.setdefault(row["video_id"], {})[row["stage"]] = row["result_id"]
    for row in storage.db.fetch("SELECT id::text, status FROM videos"):
        if row["status"] == "completed" and row["id"] not in sets:
            yield f"I2: video {row['id']} is completed, and nothing of it is published"
    found = storage.results.open_all([one for whole in sets.values() for one in whole.values()])
    for video_id, whole in sets.items():
        yield from (
            f"I2: of video {video_id}, {wrong}" for wrong in mixed(whole, {i: found[i].manifest for i in whole.values() if i in found})
        )
    for row in storage.db.fetch("SELECT result_id::text FROM results"):  # also those that nobody sees
        (result,) = storage.results.open_all([row["result_id"]]).values()
        try:
            yield from (f"I2: {result.stage} of video {result.manifest.video_id}: {wrong}" for wrong in _differing(storage, result))
        except ReframerError as failure:
            yield f"I2: {result.stage} of video {result.manifest.video_id} cannot be read: {failure.code} {failure.message}"


def mixed(whole: Mapping[str, str], found: Mapping[str, ManifestRow]) -> Iterator[str]:
    """What keeps results from being one set: a stage that is missing, or that was made from another's result.

    Args:
        whole: Result ids by stage, as readers see them.
        found: Their manifest rows by result id.
    """
    if set(whole) != set(NAMES):
        yield f"only {sorted(whole)} are published"
    for stage, result_id in whole.items():
        if result_id not in found:
            yield f"the published {stage} has no manifest row"
        elif found[result_id].corrects is None:
            inputs = found[result_id].components.get("inputs", {})
            for name, needed in inputs.items():
                shown = found.get(whole.get(name, ""))
                if needed not in (whole.get(name), shown.corrects if shown else None):
                    yield f"the published {stage} was made from another {name}"


def _differing(storage: Storage, result: StoredResult) -> Iterator[str]:
    manifest, digest, count = result.manifest, ContentDigest(), 0
    for batch in result.batches():
        digest.update(batch)
        count += batch.num_rows
    if count != manifest.row_count:
        yield f"the manifest says {manifest.row_count} rows, Parquet has {count}"
    if digest.hexdigest() != manifest.content_digest:
        yield "Parquet has another content digest than the manifest"
    if manifest.attachment_key and manifest.evicted_at is None and not storage.store.exists(manifest.attachment_key):
        yield f"its attachment {manifest.attachment_key} is missing"
    kept = BY_NAME[manifest.stage].rows
    if kept is not None:
        yield from storage.db.run(lambda conn: _other_rows(conn, result, kept.table))


def _other_rows(conn: psycopg.Connection[Row], result: StoredResult, table: str) -> list[str]:
    """The rows that Parquet gives are written into a temporary table of the same name, and compared with what lies in the database."""
    if archived(conn, result.manifest.video_id):
        return []
    names = [*BY_NAME[result.stage].rows.columns(next(iter(result.batches())), result.manifest.key)] if result.row_count else []  # type: ignore[union-attr]
    conn.execute(f"CREATE TEMP TABLE {table} (LIKE public.{table}) ON COMMIT DROP")  # type: ignore[arg-type]  # a table of ours
    for column in conn.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attnotnull", (f"pg_temp.{table}",)
    ).fetchall():
        conn.execute(f"ALTER TABLE pg_temp.{table} ALTER COLUMN {column['attname']} DROP NOT NULL")  # type: ignore[arg-type]  # the same
    rows.copy_rows(conn, result.manifest, result.batches)
    listed = ", ".join(f'"{name}"' for name in ("video_id", "result_id", *names))
    there = f"SELECT {listed} FROM public.{table} WHERE result_id = '{result.result_id}'"
    wanted = f"SELECT {listed} FROM pg_temp.{table}"
    counts = {}
    for what, left, right in (("missing", wanted, there), ("strange", there, wanted)):
        row = conn.execute(f"SELECT count(*) AS n FROM (({left}) EXCEPT ALL ({right})) AS d").fetchone()  # type: ignore[arg-type]  # the same
        counts[what] = row["n"] if row else 0
    conn.execute(f"DROP TABLE pg_temp.{table}")  # type: ignore[arg-type]  # the same
    return [f"{counts['missing']} rows are missing in Postgres, {counts['strange']} are not of Parquet"] if any(counts.values()) else []


def single(storage: Storage, ledger: Ledger) -> Iterator[str]:
    """I3. Unique keys are Postgres's to keep: here, that they are in force, and what no key forbids."""
    for row in storage.db.fetch(
        "SELECT indexrelid::regclass::text AS name FROM pg_index WHERE indisunique AND NOT (indisvalid AND indisready)"
    ):
        yield f"I3: the unique index {row['name']} is not in force"
    handed_in = Counter(one.video_id if one.refusal is None else one.name for one in ledger.accepted)
    handed_in.update({video_id_of(sha256): more for sha256, more in ledger.unsure.items()})
    count = "SELECT coalesce(video_id::text, filename) AS what, min(filename) AS name, count(*) AS n FROM uploads GROUP BY 1"
    for row in storage.db.fetch(count):
        if row["what"] in handed_in and row["n"] > handed_in[row["what"]]:
            yield f"I3: {row['name']} was handed in {handed_in[row['what']]} times, and is {row['n']} uploads"
    for row in storage.db.fetch("SELECT video_id, count(*) AS n FROM processing_jobs WHERE status = 'processing' GROUP BY 1"):
        yield f"I3: {row['n']} jobs of video {row['video_id']} are still at work"
    twice = (
        "SELECT video_id, stage, recipe, count(*) AS n FROM results WHERE corrects IS NULL GROUP BY 1, 2, 3, components HAVING count(*) > 1"
    )
    for row in storage.db.fetch(twice):
        yield f"I3: video {row['video_id']} has {row['n']} results of {row['stage']} by one recipe from the same"


def clean(storage: Storage) -> Iterator[str]:
    """I6. Sweeps first, as if everything were a day old."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orphans, "MIN_AGE_H", 0)
        sweep(storage.db, storage.store, 1)
    sweep_scratch(storage.settings, max_age_s=0)
    named = {row["key"] for row in storage.db.fetch(_NAMED)}
    for prefix in ("results", "videos", "proxies", "deliverables"):
        for one in storage.store.inventory(prefix):
            if one.key not in named:
                yield f"I6: no row names the object {one.key}"
    for left in _files(storage.settings.scratch_dir):
        yield f"I6: {left} is left in the scratch folder"
    if storage.store.root is not None:
        yield from (f"I6: {left} is left in the store" for left in _files(storage.store.root) if left.suffix in UNFINISHED)
    for row in storage.db.fetch("SELECT video_id, owner FROM leases WHERE expires_at > clock_timestamp()"):
        yield f"I6: {row['owner']} still holds video {row['video_id']}"


def idle(storage: Storage) -> Iterator[str]:
    """I6, as far as Dagster says it."""
    with dagster_home.open_instance(storage.settings) as instance:
        pool = instance.event_log_storage.get_concurrency_info(GPU_POOL)
        if pool.active_slot_count or pool.pending_step_count:
            yield f"I6: {pool.active_slot_count} slots of the pool are taken, {pool.pending_step_count} steps wait for one"
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING])):
            yield f"I6: run {run.run_id} of {run.job_name} goes on for Dagster"


_NAMED = """SELECT object_key AS key FROM results UNION ALL SELECT attachment_key FROM results WHERE attachment_key IS NOT NULL
    UNION ALL SELECT 'videos/' || left(sha256, 2) || '/' || sha256 FROM videos
    UNION ALL SELECT object_key FROM proxies WHERE object_key IS NOT NULL
    UNION ALL SELECT object_key FROM deliverables WHERE object_key IS NOT NULL"""


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else iter(())


def gone(storage: Storage, ledger: Ledger) -> Iterator[str]:
    """I8."""
    names = " ".join([*storage.store.list("results"), *storage.store.list("videos"), *storage.store.list("shown")])
    for one in ledger.accepted:
        if one.video_id not in ledger.deleted:
            continue
        if storage.db.fetch("SELECT 1 FROM videos WHERE id = %s", (one.video_id,)):
            yield f"I8: {one.name} was deleted, and there is a video of it"
        if one.video_id in names or one.sha256 in names:
            yield f"I8: {one.name} was deleted, and there are objects of it"


def blamed(storage: Storage, ledger: Ledger) -> Iterator[str]:
    """I9."""
    fine = ledger.videos()
    for row in storage.db.fetch("SELECT id::text, filename, failure_code, failure_message FROM videos WHERE status = 'failed'"):
        if row["id"] in fine:
            yield f"I9: {row['filename']} is a video like any other, and failed: {row['failure_code']} {row['failure_message']}"
    codes = _codes()
    for row in storage.db.fetch("SELECT video_id::text, stage, failure_code, failure_message FROM processing_jobs WHERE status = 'failed'"):
        kind = codes.get(row["failure_code"])
        if row["video_id"] in fine and row["failure_code"] not in OF_SURROUNDINGS and (kind is None or kind.blames_video):
            yield f"I9: a run of a video like any other failed in {row['stage']}: {row['failure_code']} {row['failure_message']}"


def _codes() -> dict[str, type[ReframerError]]:
    def below(kind: type[ReframerError]) -> Iterable[type[ReframerError]]:
        yield kind
        for one in kind.__subclasses__():
            yield from below(one)

    return {kind.code: kind for kind in below(ReframerError)}


def recomputed(storage: Storage, path: Path, home: Path, gemini_url: str) -> list[str]:
    """I5: a file computed from nothing in another data folder has the content digests that stand in this one. Times of clocks apart, every
    stage is a function of bytes, settings, weights and code.

    Args:
        storage: Where the video was computed, with scenes by Gemini's stand-in or, where that was away, by local analysis.
        path: Its file.
        home: An empty data folder for the second time.
        gemini_url: Of the stand-in, whose answers are a function of the question.
    """
    settings = Settings(home=home, models=storage.settings.models, device=storage.settings.device, GEMINI_API_KEY=None)
    whose = "SELECT DISTINCT describer FROM scenes JOIN videos ON videos.id = scenes.video_id WHERE sha256 = %s"
    describers = {row["describer"] for row in storage.db.fetch(whose, (sha256_of(path),))}
    if "gemini" in describers:
        settings = settings.model_copy(update={"gemini_url": gemini_url, "gemini_api_key": SecretStr("soak")})
    compared = [stage for stage in NAMES if stage != "scenes" or len(describers) < 2]  # Gemini was away for some scenes: not by itself
    with open_storage(settings) as again:
        taken = ingest_file(path, again.db, again.store, settings)
        assert taken.video_id is not None, taken.failure
        (outcome,) = run_videos(settings, [taken.video_id])
        assert outcome.status == "completed", outcome.failure_message
        query = "SELECT stage, content_digest FROM current_results WHERE video_id = %s"
        before = {row["stage"]: row["content_digest"] for row in storage.db.fetch(query, (taken.video_id,))}
        now = {row["stage"]: row["content_digest"] for row in again.db.fetch(query, (taken.video_id,))}
    return [f"I5: {stage} of {path.name} differs when it is computed again" for stage in compared if before.get(stage) != now.get(stage)]


def told(storage: Storage, ledger: Ledger) -> dict[str, object]:
    """What people want to know of a soak: counts, and the times from acceptance to end, seconds."""
    times = sorted(end[0] - one.at for one in ledger.accepted if one.video_id not in ledger.deleted and (end := end_of(storage, one)))
    jobs = storage.db.fetch("SELECT coalesce(failure_code, status) AS how, count(*) AS n FROM processing_jobs GROUP BY 1 ORDER BY 1")
    return {
        "uploads": dict(Counter(one.way for one in ledger.accepted)),
        "refused": sum(one.refusal is not None for one in ledger.accepted),
        "deleted": len(ledger.deleted),
        "runs": {row["how"]: row["n"] for row in jobs},
        "median_s": round(times[len(times) // 2], 1) if times else None,
        "worst_s": round(times[-1], 1) if times else None,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def as_text(figures: Mapping[str, object]) -> str:
    """A line a figure."""
    return "\n".join(f"  {name}: {json.dumps(value)}" for name, value in figures.items())
