"""Shot boundaries, exact to the source frame, from the scores that the frames stage stored.

What belongs here: which frame begins a new shot. What does not: decoding or scoring pictures (`media`), scenes and their meaning.

How a cut is decided, and why:

1. The rule of PySceneDetect's `AdaptiveDetector`: a frame is a candidate if its score is at least `settings.shot_threshold` *and* at
   least `ADAPTIVE_RATIO` times the mean of its surroundings, which are the `WINDOW` frames on either side. The ratio is what tells a
   cut from fast motion: on `webcam_vfr_paper.mov` a sheet of paper waved before the lens scores 36 twice, over the threshold, but
   only 1.9 and 2.8 times its surroundings; true cuts there and in the drawn clips are 5 to 60 times theirs. Unlike the library's,
   surroundings end where time does: a frame `WINDOW_SECONDS` away or more says nothing about motion here, for a shot may be as short
   as that. So of slides at a picture a second each is found, by the threshold alone (the library finds none: PySceneDetect#7).
2. A flash is two candidates within `FLASH_SECONDS` of nearly equal score, there and back again: both are dropped. A cut through a
   white frame has unequal scores as a rule, and stays.
3. PySceneDetect's `FlashFilter` in SUPPRESS mode, on real presentation times (`pts` x time base, exact fractions): a candidate
   within `settings.min_shot_s` of the cut before, or of the first frame, is ignored. A cut that would leave a last shot shorter
   than that is ignored as well, so every shot lasts at least `min_shot_s` unless the video itself is shorter.

Gradual transitions (dissolves, fades) have no single frame and are not found: what fades into one another is one shot. A fade of less than
half a second may be taken for a cut, and is as good as one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
import pyarrow as pa

from reframer_pipeline.failures import InvalidResult
from reframer_pipeline.settings import Settings

ADAPTIVE_RATIO: Final = 3.0  # the library's default
WINDOW: Final = 2  # frames on either side, the library's default
# What is nearer is motion, for it can be no shot of its own by default. The setting itself is not asked: somebody who wants longer shots
# still wants each to begin at a slide, and who wants the shortest does not want motion for cuts.
WINDOW_SECONDS: Final = float(Settings.model_fields["min_shot_s"].default)
FLASH_SECONDS: Final = 0.2
ROUNDING: Final = 1e-6  # seconds: what subtracting two times in floating point may be off by
FLASH_DIFFERENCE: Final = 0.15  # of the larger score
COLUMNS: Final = ["frame_number", "pts", "timestamp", "content_score"]


@dataclass(frozen=True)
class Shot:
    """A run of source frames without a cut.

    Attributes:
        start_frame: First source frame, from zero.
        end_frame: Source frame after the last.
        start_seconds: Time of the first frame since the video's first frame.
        end_seconds: Start of the next shot; of the last shot, the end of the picture.
    """

    start_frame: int
    end_frame: int
    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return self.end_seconds - self.start_seconds


def find_shots(batches: Iterable[pa.RecordBatch], metadata: Mapping[str, Any], settings: Settings) -> list[Shot]:
    """Cut a video into shots.

    Args:
        batches: `schemas.FRAMES` in frame order, at least `COLUMNS`; one row per source frame. About 20 bytes a frame are held.
        metadata: The row of `schemas.METADATA`; used are `duration_seconds`, `time_base_num` and `time_base_den`. Its `frame_count` is not:
            the frames stage may have lost a few pictures of a damaged file, and its rows are what there is.
        settings: `shot_threshold` (0..255, the detector's content scale) and `min_shot_s` (seconds).

    Returns:
        Shots that cover the rows, `[0, n)`, without gap or overlap; none if there are no rows.

    Raises:
        InvalidResult: The rows are not frames 0, 1, 2 and so on.
    """
    number, pts, seconds, scores = _columns(batches)
    if not np.array_equal(number, np.arange(number.size)):
        raise InvalidResult("The frames stage left a source frame out, or they are not in order.")
    if number.size == 0:
        return []
    end_seconds = max(float(metadata["duration_seconds"]), float(seconds[-1]))
    time_base = Fraction(int(metadata["time_base_num"]), int(metadata["time_base_den"]) or 1) or Fraction(1, 1000)
    cuts = _without_flashes(candidates(scores, seconds, settings.shot_threshold), scores, seconds)
    cuts = _far_enough(cuts, pts - pts[0], time_base, settings.min_shot_s)
    if cuts and end_seconds - seconds[cuts[-1]] < settings.min_shot_s - ROUNDING:
        cuts.pop()
    starts, ends = [0, *cuts], [*cuts, int(number.size)]
    limits = [0.0, *(float(seconds[cut]) for cut in cuts), end_seconds]
    return [Shot(*span) for span in zip(starts, ends, limits[:-1], limits[1:], strict=True)]


def _columns(batches: Iterable[pa.RecordBatch]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    parts: list[list[np.ndarray]] = [[np.empty(0, kind)] for kind in (np.int32, np.int64, np.float64, np.float32)]
    for batch in batches:
        for part, name in zip(parts, COLUMNS, strict=True):
            part.append(batch.column(name).to_numpy(zero_copy_only=False))
    number, pts, seconds, scores = (np.concatenate(part) for part in parts)
    return number, pts, seconds, scores


def candidates(scores: np.ndarray, seconds: np.ndarray, threshold: float) -> list[int]:
    """Frames that stand out from both the threshold and their surroundings, as the module's text says.

    Args:
        scores: `(n,)` content scores.
        seconds: `(n,)` times of the frames, never falling.
        threshold: Least score of a cut.

    Returns:
        Frames in order, the first of the video never among them.
    """
    around, count = np.zeros(scores.size), np.zeros(scores.size, int)
    for distance in range(1, min(WINDOW, scores.size - 1) + 1):
        near = seconds[distance:] - seconds[:-distance] < WINDOW_SECONDS - ROUNDING
        for here, there in ((slice(distance, None), slice(None, -distance)), (slice(None, -distance), slice(distance, None))):
            around[here] += np.where(near, scores[there], 0)
            count[here] += near
    found = (scores >= threshold) & (scores * np.maximum(count, 1) >= ADAPTIVE_RATIO * around)
    return [cut for cut in np.flatnonzero(found).tolist() if cut > 0]


def _without_flashes(cuts: list[int], scores: np.ndarray, seconds: np.ndarray) -> list[int]:
    kept: list[int] = []
    while cuts:
        first, *cuts = cuts
        if cuts and seconds[cuts[0]] - seconds[first] <= FLASH_SECONDS + ROUNDING:
            there, back = float(scores[first]), float(scores[cuts[0]])
            if abs(there - back) <= FLASH_DIFFERENCE * max(there, back):
                cuts = cuts[1:]
                continue
        kept.append(first)
    return kept


def _far_enough(cuts: list[int], pts: np.ndarray, time_base: Fraction, min_seconds: float) -> list[int]:
    """The library's filter over the candidates alone; frames between them cannot change what SUPPRESS mode answers."""
    from scenedetect import FrameTimecode
    from scenedetect.common import Timecode
    from scenedetect.detector import FlashFilter

    keeper = FlashFilter(FlashFilter.Mode.SUPPRESS, float(min_seconds))

    def at(frame: int) -> FrameTimecode:
        return FrameTimecode(Timecode(int(pts[frame]), time_base), Fraction(1))  # the rate is asked for but not used

    keeper.filter(at(0), above_threshold=False)
    return [cut for cut in cuts if keeper.filter(at(cut), above_threshold=True)]
