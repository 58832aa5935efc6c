"""The frames stage: the decode of the upload.

What belongs here: all that is special about it. What does not: decoding (`media`), COPY (`results.rows`), running it
(`orchestration.stage`).
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from reframer_pipeline import schemas
from reframer_pipeline.handover import StageInput, StageOutput
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampling import sample_frames
from reframer_pipeline.stages.checks import Validator, numbers
from reframer_pipeline.stages.stage import Cells, Stage, Work, facts
from reframer_pipeline.versions import StageKey

LARGEST_CHANGES: Final = 5


def _compute(work: Work, metadata: StageInput) -> StageOutput:
    known = VideoMetadata.from_batch(next(metadata.batches()))
    store = work.scratch / "frames.zip"
    rows = sample_frames(work.hold(work.upload()), known, work.settings, store, work.progress)
    return StageOutput("frames", rows, attachment=store)


class FramesValidator(Validator):
    """Every source frame once, in order; the first is sampled, and then at least every `vid_stride`-th."""

    names = ("frame_numbers_contiguous", "timestamps_rise_from_zero", "pts_rise", "sampled_often_enough", "scores_in_range")

    def __init__(self, key: StageKey, upstream: Mapping[str, StageInput]) -> None:
        super().__init__(key, upstream)
        self._stride = key.components["settings"]["vid_stride"]
        self._last_time = 0.0
        self._last_pts: int | None = None
        self._last_sampled = -self._stride

    def judge(self, batch: pa.RecordBatch) -> None:
        frame, time, pts = numbers(batch, "frame_number"), numbers(batch, "timestamp"), numbers(batch, "pts")
        score = numbers(batch, "content_score")
        self.expect("frame_numbers_contiguous", frame == self._rows + np.arange(frame.size))
        # Never falling rather than strictly rising: damaged files do repeat a time stamp.
        self.expect("timestamps_rise_from_zero", (np.diff(time, prepend=self._last_time) >= 0) & np.isfinite(time))
        if self._rows == 0:
            self.expect("timestamps_rise_from_zero", bool(time[0] == 0), f"the first is {time[0]}")
        self.expect("pts_rise", np.diff(pts, prepend=pts[0] if self._last_pts is None else self._last_pts) >= 0)
        sampled = frame[numbers(batch, "sampled")]
        # from the last sampled frame to each that follows, and to the last of the batch; before frame 0 comes one that demands it
        gaps = np.diff(sampled, prepend=self._last_sampled, append=frame[-1] + 1)
        self.expect("sampled_often_enough", gaps <= self._stride)
        self._last_sampled = int(sampled[-1]) if sampled.size else self._last_sampled
        self.expect("scores_in_range", (score >= 0) & (score <= 255))
        self._last_time, self._last_pts = float(time[-1]), int(pts[-1])
        self.figures["sampled"] = self.figures.get("sampled", 0) + int(np.count_nonzero(numbers(batch, "sampled")))

    def conclude(self) -> None:
        if self._rows == 0:
            self.expect("frame_numbers_contiguous", False, "there are no frames")


def _cells(result: StageInput) -> Cells:
    top: list[tuple[float, int]] = []
    looked_at, last = 0, 0.0
    for batch in result.batches(["frame_number", "timestamp", "content_score", "sampled"]):
        frame, seconds, scores = (batch.column(name).to_numpy() for name in ("frame_number", "timestamp", "content_score"))
        best = np.argsort(scores, kind="stable")[-LARGEST_CHANGES:]
        top = heapq.nlargest(LARGEST_CHANGES, [*top, *zip(scores[best].tolist(), frame[best].tolist(), strict=True)])
        looked_at += batch.column("sampled").true_count
        last = float(seconds[-1]) if len(seconds) else last
    changes = {f"change at frame {number}": f"{score:.1f}" for score, number in sorted(top, key=lambda change: change[1])}
    return facts({"source frames": result.row_count, "sampled": looked_at, "last at": f"{last:.3f} s", **changes})


FRAMES: Final = Stage(
    name="frames",
    says="Every N-th frame (more of slow footage), upright and with square pixels; of each source frame its PTS and shot score (FFmpeg).",
    inputs=("metadata",),
    code_version=2,
    settings=("vid_stride",),
    schema=schemas.FRAMES,
    compute=_compute,
    validator=FramesValidator,
    cells=_cells,
    kinds=frozenset({"ffmpeg", "parquet"}),
)
