"""The metadata stage: what ffprobe measures of the upload.

What belongs here: all that is special about it. What does not: reading files (`media`), COPY (`results.rows`), running it
(`orchestration.stage`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa

from reframer_pipeline import schemas
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.media.probe import probe
from reframer_pipeline.stages.checks import Validator
from reframer_pipeline.stages.stage import Cells, Stage, Work, facts, first_rows


def _compute(work: Work) -> StageOutput:
    upload = work.hold(work.upload())

    def rows() -> Iterator[pa.RecordBatch]:
        found = probe(upload, work.settings, work.progress, sha256=work.order.video.sha256)
        if found.notes:
            work.notes["notes"] = list(found.notes)
        yield found.to_batch()

    return StageOutput("metadata", rows())


class MetadataValidator(Validator):
    """One row of plausible facts about the very file that was asked for."""

    names = ("one_row", "size_positive", "facts_plausible", "same_file")

    def judge(self, batch: pa.RecordBatch) -> None:
        row: dict[str, Any] = batch.to_pylist()[0]
        self.expect("one_row", batch.num_rows == 1 and self._rows == 0)
        self.expect("size_positive", row["width"] > 0 and row["height"] > 0, f"{row['width']}x{row['height']}")
        plausible = (
            row["rotation"] in (0, 90, 180, 270) and row["fps_num"] > 0 and row["fps_den"] > 0 and row["time_base_num"] > 0
            and row["time_base_den"] > 0 and row["frame_count"] > 0 and 0 <= row["duration_seconds"] < float("inf")
        )  # fmt: skip
        named = ("rotation", "fps_num", "fps_den", "frame_count", "duration_seconds")
        self.expect("facts_plausible", plausible, str({name: row[name] for name in named}))
        self.expect("same_file", row["sha256"] == self.key.components["video"], "the SHA-256 differs")

    def conclude(self) -> None:
        if self._rows == 0:
            self.expect("one_row", False, "there is none")


def frame_size(metadata: StageInput) -> tuple[int, int]:
    """Displayed width and height, from a result of this stage."""
    row: dict[str, Any] = next(metadata.batches(["width", "height"])).to_pylist()[0]
    return row["width"], row["height"]


def _cells(result: StageInput) -> Cells:
    (row,) = first_rows(result)
    return facts(
        {
            "container": row["container"],
            "codec": f"{row['codec']} {row['pix_fmt'] or ''}",
            "displayed": f"{row['width']}x{row['height']}, rotated {row['rotation']}°{', mirrored' if row.get('mirrored') else ''}",
            "frames a second": f"{row['fps_num']}/{row['fps_den']}{' (variable)' if row['variable_frame_rate'] else ''}",
            "duration": f"{row['duration_seconds']:.3f} s",
            "frames": row["frame_count"],
            "size": f"{row['size_bytes'] / 1e6:.2f} MB",
            "sha256": row["sha256"],
            **{f"note {number}": note for number, note in enumerate(row.get("notes") or (), start=1)},
        }
    )


METADATA: Final = Stage(
    name="metadata",
    says="Container, codec, displayed size, rotation, exact frame rate, duration and counted frames of the upload (ffprobe).",
    inputs=(),
    code_version=2,
    settings=(),
    schema=schemas.METADATA,
    compute=_compute,
    validator=MetadataValidator,
    cells=_cells,
    kinds=frozenset({"ffmpeg", "parquet", "postgres"}),
)
