"""What metadata and frames must keep.

What belongs here: rules of the two media stages. What does not: whether a video is acceptable (`media`, `uploads`): a result that
breaks these rules is a defect of the pipeline, not of the video.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from reframer_pipeline.results.validation.checks import Validator, numbers


class MetadataValidator(Validator):
    """One row of plausible facts about the very file that was asked for."""

    names = ("one_row", "size_positive", "facts_plausible", "same_file")

    def __init__(self, sha256: str) -> None:
        super().__init__()
        self._sha256 = sha256

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
        self.expect("same_file", row["sha256"] == self._sha256, "the SHA-256 differs")

    def conclude(self) -> None:
        if self._rows == 0:
            self.expect("one_row", False, "there is none")


class FramesValidator(Validator):
    """Every source frame once, in order, and every `vid_stride`-th sampled."""

    names = ("frame_numbers_contiguous", "timestamps_rise_from_zero", "pts_rise", "every_nth_sampled", "scores_in_range")

    def __init__(self, vid_stride: int) -> None:
        super().__init__()
        self._stride = vid_stride
        self._last_time = 0.0
        self._last_pts: int | None = None

    def judge(self, batch: pa.RecordBatch) -> None:
        frame, time, pts = numbers(batch, "frame_number"), numbers(batch, "timestamp"), numbers(batch, "pts")
        score = numbers(batch, "content_score")
        self.expect("frame_numbers_contiguous", frame == self._rows + np.arange(frame.size))
        # Never falling rather than strictly rising: damaged files do repeat a time stamp.
        self.expect("timestamps_rise_from_zero", (np.diff(time, prepend=self._last_time) >= 0) & np.isfinite(time))
        if self._rows == 0:
            self.expect("timestamps_rise_from_zero", bool(time[0] == 0), f"the first is {time[0]}")
        self.expect("pts_rise", np.diff(pts, prepend=pts[0] if self._last_pts is None else self._last_pts) >= 0)
        self.expect("every_nth_sampled", numbers(batch, "sampled") == (frame % self._stride == 0))
        self.expect("scores_in_range", (score >= 0) & (score <= 255))
        self._last_time, self._last_pts = float(time[-1]), int(pts[-1])
        self.figures["sampled"] = self.figures.get("sampled", 0) + int(np.count_nonzero(numbers(batch, "sampled")))

    def conclude(self) -> None:
        if self._rows == 0:
            self.expect("frame_numbers_contiguous", False, "there are no frames")
