"""Preparing: a stage's output drawn, checked and written to a local file, with its manifest row.

What belongs here: step 1 of the commit protocol (`commit`). What does not: the store and the database's rows.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from reframer_pipeline.corrections.events import Event
from reframer_pipeline.failures import ObjectMissing
from reframer_pipeline.handover import StageOutput
from reframer_pipeline.results import parquet
from reframer_pipeline.results.manifest import Footer, ManifestRow
from reframer_pipeline.results.parquet import Drained
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.scratch import made
from reframer_pipeline.stages import BY_NAME
from reframer_pipeline.stages.checks import CheckResult
from reframer_pipeline.stages.order import VideoCard
from reframer_pipeline.store.objects import result_key
from reframer_pipeline.versions import StageKey


@dataclass(frozen=True)
class Prepared:
    """A checked result that nobody can see yet: the local Parquet file and what is known of it."""

    row: ManifestRow
    key: StageKey
    local: Path
    attachment: Path | None
    checks: list[CheckResult]

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows."""
        return parquet.read_batches(self.local, BY_NAME[self.row.stage].schema.names)

    def clear(self) -> None:
        """Delete the local files."""
        _clear(self.local, self.attachment)


def prepare(
    video: VideoCard,
    key: StageKey,
    output: StageOutput,
    upstream: Mapping[str, StoredResult],
    scratch: Path,
    *,
    run_id: str | None = None,
    notes: Mapping[str, Any] = MappingProxyType({}),
    corrects: StoredResult | None = None,
    events: Sequence[Event] = (),
    answer: Mapping[str, Any] | None = None,
) -> Prepared:
    """Draw a stage's batches, which is when its work happens, into a checked local file. Nothing is visible to anyone yet.

    Args:
        video: The video.
        key: What the result is a function of.
        output: The result; its batches are consumed, its attachment is taken over and deleted if this fails.
        upstream: Every result that the key depends on, directly or not, by stage.
        scratch: Folder for the file.
        run_id: Shown in the manifest.
        notes: More figures for the manifest.
        corrects: The computed result that this one stands in place of.
        events: The corrections that it follows from.
        answer: What was paid for to make it, as `scenes.gemini.questions.told`.

    Raises:
        InvalidResult: A check failed; `checks` has them all.
        ObjectMissing: One of its inputs was never committed.
        DiskFull, MachineTrouble, HomeNotWritable: There is no such folder to be had.
        OSError: It cannot be written to; `failures.typing` knows what that is.
    """
    missing = [f"{name} result {result_id}" for name, result_id in key.components["inputs"].items() if name not in upstream]
    if missing:
        raise ObjectMissing(f"The {', '.join(missing)}, which {key.stage} needs, was never committed.")
    made(scratch)
    name = f"{key.result_id}.{uuid.uuid4().hex[:12]}"
    local, base = scratch / f"{name}.parquet", result_key(video.video_id, key.stage, name)
    validator = BY_NAME[key.stage].validator(key, upstream)
    used = [*(upstream[name] for name in key.components["inputs"]), *([corrects] if corrects else [])]
    made_from = {one.result_id: one.manifest.content_digest for one in used}
    created_at, started = datetime.now(UTC), time.monotonic()
    row_of: list[ManifestRow] = []

    def footer(drained: Drained) -> bytes:
        row = ManifestRow(
            result_id=key.result_id,
            video_id=video.video_id,
            stage=key.stage,
            stage_key=key.digest,
            components=key.components,
            recipe=key.recipe.digest,
            recipe_inputs=key.recipe.inputs,
            object_key=f"{base}.parquet",
            object_bytes=0,
            attachment_key=f"{base}{output.attachment.suffix or '.bin'}" if output.attachment else None,
            attachment_bytes=output.attachment.stat().st_size if output.attachment else None,
            row_count=drained.row_count,
            content_digest=drained.content_digest,
            seconds=round(time.monotonic() - started, 3),
            stats={**notes, **drained.figures},
            checks=[vars(check) for check in drained.checks],
            run_id=run_id,
            created_at=created_at,
            corrects=corrects.result_id if corrects else None,
        )
        row_of.append(row)
        return Footer(row, video, made_from, [event.to_json() for event in events], answer).encode()

    try:
        drained = parquet.drain(output, video.video_id, key.result_id, local, validator, footer)
    except BaseException:
        _clear(local, output.attachment)
        raise
    return Prepared(replace(row_of[0], object_bytes=local.stat().st_size), key, local, output.attachment, drained.checks)


def _clear(*paths: Path | None) -> None:
    for path in paths:
        if path is not None:
            path.unlink(missing_ok=True)
