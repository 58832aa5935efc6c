"""`reframer uploads`: what came of the files that were uploaded, and looking again at those that were refused."""

from __future__ import annotations

import sys
from typing import Any

import click

from reframer_pipeline.cli.options import PLACES, make_settings, setting_options
from reframer_pipeline.cli.tables import Name, aside, cell, line, print_rows, table
from reframer_pipeline.database.postgres import Row
from reframer_pipeline.failures import BucketUnavailable, ReframerError, all_failures
from reframer_pipeline.results.storage import Storage, open_existing
from reframer_pipeline.settings import Settings


@click.group(invoke_without_command=True)
@click.option("--failed", is_flag=True, help="Only those that were refused, or whose video has failed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per upload, each on a line.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1), help="How many at most, the newest first.")
@setting_options(*PLACES, "uploads_url")
@click.pass_context
def uploads(context: click.Context, chosen: dict[str, Any], failed: bool, as_json: bool, limit: int) -> None:
    """List what came of each upload.

    Either how far its video is, or the reason why the file was refused. Files in the bucket that have not been taken in yet are
    `on its way`. A refused file is not looked at again by itself: ask for it with `retry`, after you have changed what was wrong.

    \b
    reframer uploads --failed                     what was refused, and why
    reframer uploads retry 3f2a                   look at one again
    reframer uploads retry --code file_too_large  at all of one kind
    """
    if context.invoked_subcommand is not None:
        context.obj = chosen
        return
    from reframer_pipeline.uploads.records import list_uploads

    settings = make_settings(chosen)
    with open_existing(settings) as storage:
        rows = list_uploads(storage.db, failed=failed, limit=limit)
        if not failed:
            rows = [*_on_their_way(storage, settings), *rows][:limit]
    columns = table("id", "file", "status", "video", "reason", wraps={"reason"})
    print_rows(rows, as_json, "No upload was refused, and no video of one failed." if failed else "No uploads yet.", columns, _listed)


def _on_their_way(storage: Storage, settings: Settings) -> list[Row]:
    """What is in the bucket and not taken in yet; a bucket that is away hides nothing of the rest."""
    from reframer_pipeline.uploads.bucket import Bucket
    from reframer_pipeline.uploads.records import on_their_way

    try:
        return on_their_way(storage.db, Bucket.open(settings))
    except BucketUnavailable as failure:
        aside(f"What is on its way cannot be told: [{failure.code}] {failure}", style="yellow")
        return []


def _listed(row: Row) -> tuple[str | Name, ...]:
    status = {"failed": "refused", "pending": "on its way"}.get(row["status"], row["video_status"])
    code, message = (row[name] or row[f"video_{name}"] for name in ("failure_code", "failure_message"))
    name, reason = row["bucket_key"] or row["filename"], f"[{code}] {message}" if code else ""
    return row["upload_id"][:8], Name(name), status or "", (row["video_id"] or "")[:8], cell(reason)


@uploads.command()
@click.argument("upload_ids", nargs=-1)
@click.option("--code", help="All that were refused with this code.")
@setting_options(*PLACES, "uploads_url", "max_upload_mb")
@click.pass_context
def retry(context: click.Context, chosen: dict[str, Any], upload_ids: tuple[str, ...], code: str | None) -> None:
    """Look at refused uploads again.

    The settings of now count. The file must still be in the bucket, unchanged. (A changed file is a new upload, which is seen by
    itself.) What is taken in now is computed by a running `reframer dev`.

    \b
    reframer uploads retry 3f2a                   the first characters of an id
    reframer uploads retry --code file_too_large  all with this code
    """
    from reframer_pipeline.uploads.bucket import Bucket

    if not upload_ids and code is None:
        raise click.UsageError("Name uploads by their ids, or all of one kind by --code; `reframer uploads --failed` lists them.")
    if code is not None and code not in {cls.code for cls in all_failures()}:
        raise click.BadParameter(
            f"there is no failure code {code!r}; `reframer uploads --failed` shows those there are.", param_hint="--code"
        )
    settings = make_settings(context.obj | {name: value for name, value in chosen.items() if value is not None})
    with open_existing(settings) as storage:
        found = _found(storage, upload_ids, code)
        bucket = Bucket.open(settings)
        done = [_look_again(upload, bucket, storage, settings) for upload in found]
    if not found:
        line("No upload was refused with this code.")
    sys.exit(0 if all(done) else 1)


def _found(storage: Storage, upload_ids: tuple[str, ...], code: str | None) -> list[Row]:
    from reframer_pipeline.uploads.records import refused

    if not upload_ids:
        return refused(storage.db, code=code)
    found = {}
    for prefix in upload_ids:
        rows = refused(storage.db, prefix, code)
        if not prefix or len(rows) != 1:
            which = "Several uploads that were refused have" if rows else "No upload of the bucket that was refused has"
            raise click.BadParameter(f"{which} an id that begins with {prefix!r}; `reframer uploads --failed` lists them.")
        found[rows[0]["upload_id"]] = rows[0]
    return list(found.values())


def _look_again(upload: Row, bucket: Any, storage: Storage, settings: Settings) -> bool:
    """Whether it is a video now; says what came of it."""
    from reframer_pipeline.uploads.records import look_again

    try:
        result = look_again(upload, bucket, storage.db, storage.store, settings)
    except ReframerError as failure:  # the others may do better
        line(f"{upload['bucket_key']}: [{failure.code}] {failure}")
        return False
    if result.failure is not None:
        line(f"{upload['bucket_key']}: refused again: [{result.failure.code}] {result.failure}")
        return False
    known = "; the same bytes were uploaded before" if result.already_known else ""
    known += f", as {result.filename}" if result.was_theirs else ""
    line(f"{upload['bucket_key']}: taken in as video {str(result.video_id)[:8]}{known}.")
    return True
