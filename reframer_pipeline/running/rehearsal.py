"""A rehearsal: a tiny drawn clip through all six stages, so that a process has loaded what it needs before it says it is ready.

What belongs here: that. What does not: keeping anything. No database, no store and no Gemini is asked; the clip is drawn, and results are
held in memory from stage to stage and dropped.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import pyarrow as pa

from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.handover import StageInput, StageOutput, no_progress
from reframer_pipeline.planning import orders
from reframer_pipeline.scratch import writing
from reframer_pipeline.settings import Settings
from reframer_pipeline.stages import STAGES
from reframer_pipeline.stages.order import VideoCard
from reframer_pipeline.stages.stage import Work

if TYPE_CHECKING:
    from reframer_pipeline.database.postgres import Database

SEED: Final = 3_810_001
FRAMES: Final = 15  # three of them are looked at by default


class _Held:
    """A stage's output in memory, as the next stages read it."""

    def __init__(self, output: StageOutput, result_id: str, schema: pa.Schema) -> None:
        self.stage, self.result_id = output.stage, result_id
        self._table = pa.Table.from_batches(output.batches, schema=schema)
        self._attachment = output.attachment.read_bytes() if output.attachment is not None else b""

    @property
    def row_count(self) -> int:
        return self._table.num_rows

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        yield from (self._table if columns is None else self._table.select(columns)).to_batches()

    def open_attachment(self) -> BinaryIO:
        return io.BytesIO(self._attachment)


def rehearse(settings: Settings, models: bool = True) -> None:
    """Compute a clip of half a second. The models stay loaded in this process.

    Args:
        settings: Of this process.
        models: Whether stages that want models are computed, too. Else nothing is found in the clip.

    Raises:
        ReframerError: A stage cannot be computed here: weights, FFmpeg or the device are missing or unfit.
    """
    with writing(settings.scratch_dir):
        folder = Path(tempfile.mkdtemp(prefix="rehearsal-", dir=settings.scratch_dir))
    try:
        clip = folder / "clip.mp4"
        write_clip(make_clip(SEED, n_frames=FRAMES, shots=1), clip)
        sha256 = hashlib.sha256(clip.read_bytes()).hexdigest()
        card = VideoCard("00000000-0000-0000-0000-000000000000", sha256, clip.name, clip.stat().st_size, "", datetime.now(UTC))
        order = orders.of(card, settings.model_copy(update={"describer": "local"}))
        no_database = cast("Database", None)
        made: dict[str, StageInput] = {}
        for stage in STAGES:
            scratch = folder / stage.name
            scratch.mkdir()
            with Work(order, stage.name, no_database, scratch, lambda: nullcontext(clip), no_progress, lambda: None) as work:
                inputs: dict[str, Any] = {name: made[name] for name in stage.inputs}
                output = stage.compute(work, **inputs) if models or not stage.weights else StageOutput(stage.name, iter(()))
                made[stage.name] = _Held(output, work.result_id, stage.schema)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
