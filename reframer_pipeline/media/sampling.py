"""The decode of a video, all of it once: the `frames` stage.

What belongs here: driving ffmpeg's decode, naming every source frame's number, pts, timestamp and content score, storing
the sampled ones, and finding out that the file ended before its time. What does not: where a cut is (`scenes.shots`
thresholds the scores), command lines (`commands`), the store's format (`frame_store`).

Nothing is held longer than a frame: ffmpeg's three outputs are drained in step (`runner.GuardedProcess`), and rows leave
in batches. What was decoded is compared with the facts at the end (`timing.check_decoded`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline import schemas
from reframer_pipeline.failures import VideoTooLong
from reframer_pipeline.handover import Progress, no_progress, record_batches
from reframer_pipeline.media import commands
from reframer_pipeline.media.display import as_shown
from reframer_pipeline.media.fence import Limits
from reframer_pipeline.media.frame_store import FrameStoreWriter
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.refusals import refusal
from reframer_pipeline.media.runner import STDOUT, GuardedProcess
from reframer_pipeline.media.timing import check_decoded
from reframer_pipeline.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

PROGRESS_FRAMES: Final = 32  # often enough for the stall clock with the largest pictures on the slowest machine
SMALL_SIDE: Final = 256  # width PySceneDetect scales to by default before comparing
# Of 255. A fade of a second at 25 frames a second has steps of 10, so its last picture has a value (or, to white, a chroma) of at most 10.
DARK: Final = (16, 48)  # values between which saturation and hue begin to show
PALE: Final = (8, 24)  # chromas between which hue begins to show
SLOWEST: Final = 5  # frames a second: of slides or a sparse recording, more than every N-th frame is looked at
LINES: Final = 1
KEPT: Final = 2
_FRAME_LINE: Final = re.compile(r"frame:\d+\s+pts:(\S+)")


def sample_frames(
    path: Path, metadata: VideoMetadata, settings: Settings, store_path: Path, progress: Progress = no_progress
) -> Iterator[pa.RecordBatch]:
    """Decodes a video once while the rows are drawn.

    Args:
        path: The video.
        metadata: Its facts, from `probe`.
        settings: `vid_stride` and the limits.
        store_path: Where the frame store is to be; it is there when the last batch has been drawn, and never half.
        progress: Told the number of decoded frames of `metadata.frame_count`, every 32 frames and at the end.

    Yields:
        Batches of `schemas.FRAMES`, one row per source frame in presentation order.

    Raises:
        NoDecodableFrames, TruncatedVideo, DamagedVideo, VideoTooLong, FrameStoreTooLarge: As their classes say.
        MediaToolMissing, MediaToolTimeout: ffmpeg is absent, or ran into a limit on this file.
    """
    return record_batches(_rows(path, metadata, settings, store_path, progress), schemas.FRAMES)


def _rows(path: Path, metadata: VideoMetadata, settings: Settings, store_path: Path, progress: Progress) -> Iterator[dict[str, Any]]:
    count = first_pts = last_pts = unseen = 0
    patience = round(2 / (metadata.fps * metadata.time_base))
    with FrameStoreWriter(store_path, max_bytes=settings.max_store_mb * 1_000_000) as store:
        for frame in _decoded(path, metadata, settings):
            if frame.number >= settings.max_frames:
                raise VideoTooLong(f"The video has more than {settings.max_frames} frames.")
            if frame.bgr is not None:
                store.add(frame.number, frame.bgr)
            if not count:
                first_pts = last_pts = frame.pts
            # A damaged stream may step back in time: such a frame is shown when the one before it is, for time never falls.
            before, last_pts = last_pts, max(last_pts, frame.pts)
            unseen += max(0, last_pts - before - patience)
            count += 1
            if count % PROGRESS_FRAMES == 0:
                progress(count, metadata.frame_count)
            yield {
                "frame_number": frame.number,
                "pts": last_pts,
                "timestamp": float((last_pts - first_pts) * metadata.time_base),
                "content_score": frame.score,
                "sampled": frame.bgr is not None,
            }
        found_s = float((last_pts - first_pts) * metadata.time_base + 1 / metadata.fps)
        unseen_s = float(unseen * metadata.time_base)
        check_decoded(count, found_s, unseen_s, metadata.frame_count, metadata.duration_seconds, metadata.fps)
    progress(count, metadata.frame_count)


@dataclass(frozen=True)
class _Frame:
    """A decoded source frame; `bgr`, (H, W, 3), is there if it was sampled, until the next frame is asked for."""

    number: int
    pts: int
    score: float
    bgr: NDArray[np.uint8] | None


def _decoded(path: Path, metadata: VideoMetadata, settings: Settings) -> Iterator[_Frame]:
    """The frames as ffmpeg decodes them."""
    import cv2
    import numpy as np

    width, height = metadata.width, metadata.height
    small = small_size(width, height)
    pixels, picture = np.empty((small[1], small[0], 3), np.uint8), np.empty((height, width, 3), np.uint8)
    green, blue, red = planes = np.empty((3, height, width), np.uint8)
    way, hdr = metadata.orientation, metadata.tone_mapped_from
    # FFmpeg makes planes of YUV in half the time of pixels, and the same bytes; of grey and palettes it would make others
    colours = "gbrp" if (metadata.pix_fmt or "").startswith("yuv") else "rgb24"
    kept = as_shown((width, height), way, hdr, "bicubic+accurate_rnd+full_chroma_int", colours)
    compared = as_shown(small, way, hdr, "area+accurate_rnd+bitexact")  # else scores are the processor's: up to 3.4 apart, the cut is at 27
    scores, looks = ContentScores(), Looks(settings.vid_stride, metadata.time_base)

    def compose(fds: tuple[int, ...]) -> list[str]:
        index, rule = metadata.stream_index, looks.expression
        return commands.decode(path, index, settings, looked_at=rule, kept=kept, compared=compared, fds=(fds[0], fds[1]))

    limits = Limits.of(settings, units=metadata.frame_count)
    with GuardedProcess(compose, limits, extra_channels=2, reads=[path]) as process:
        for number, (pts, told) in enumerate(_times(process, metadata)):
            looked_at = looks.at(number, told)
            if not process.fill(STDOUT, pixels) or (looked_at and not process.fill(KEPT, planes)):
                break
            yield _Frame(number, pts, scores.next(pixels), cv2.merge((blue, green, red), picture) if looked_at else None)
        if process.wait() and not scores.seen:
            # the facts were read through the same list of codecs, so what is refused here is only the sound
            known = refusal(process.stderr, codecs=False)
            if known:
                raise known


def _times(process: GuardedProcess, metadata: VideoMetadata) -> Iterator[tuple[int, float]]:
    """The pts of each frame, and that pts as ffmpeg tells it, NaN if it does not; it then follows the one before by an average frame."""
    step = max(1, round(1 / (metadata.fps * metadata.time_base)))
    before = (metadata.start_pts or 0) - step
    for line in process.lines(LINES):
        found = _FRAME_LINE.match(line)
        if found:
            told = found[1] != "NOPTS"
            before = int(found[1]) if told else before + step
            yield before, float(before) if told else math.nan


class Looks:
    """Which frames are looked at: the first, and the next after `vid_stride` frames or their time at `SLOWEST`, whatever comes first.

    ffmpeg decides by an expression, and this class in step with it: both compute with double precision.

    Attributes:
        expression: The rule for FFmpeg's `select`.
    """

    def __init__(self, vid_stride: int, time_base: Fraction) -> None:
        self._frames = vid_stride
        self._ticks = math.ceil(vid_stride / (SLOWEST * time_base))
        self._number, self._pts = 0, math.nan
        self.expression = f"not(n)+gte(n-prev_selected_n,{self._frames})+gte(pts-prev_selected_pts,{self._ticks})"

    @staticmethod
    def about(vid_stride: int, frames: int, seconds: float) -> int:
        """How many of so many frames are looked at if they come evenly."""
        every = min(vid_stride, math.ceil(vid_stride * frames / (SLOWEST * seconds))) if seconds > 0 else vid_stride
        return -(-frames // max(every, 1))

    def at(self, number: int, pts: float) -> bool:
        """Whether the next frame is looked at.

        Args:
            number: Its number.
            pts: Its pts as ffmpeg tells it; NaN if it does not.
        """
        looked_at = number == 0 or number - self._number >= self._frames or pts - self._pts >= self._ticks
        if looked_at:
            self._number, self._pts = number, pts
        return looked_at


class ContentScores:
    """How much each frame differs from the one before, on the scale of PySceneDetect's ContentDetector.

    The score is the mean absolute difference of hue, saturation and value (8 bits each, OpenCV's hue of 0 to 179), averaged
    over the three; 0 for the first frame. Two of them are noise where they cannot be seen, and would make a cut of the last step of a fade:
    saturation of pixels that are near black in both frames, and hue of those that are near black or near grey (white included) in both.
    So they count for nothing below a limit, and in full from another on (`DARK`, `PALE`). Frames without such pixels score as the
    detector's `content_val` does.
    """

    def __init__(self) -> None:
        import numpy as np

        self._lit = _between(np.arange(256, dtype=np.float32)[None], DARK)  # how much saturation and hue count, of each value
        self._before: tuple[NDArray[Any], ...] | None = None

    @property
    def seen(self) -> bool:
        """Whether there was any frame."""
        return self._before is not None

    def next(self, bgr: NDArray[np.uint8]) -> float:
        """Score of the next frame, (H, W, 3), BGR."""
        import cv2

        hue, saturation, value = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV))
        chroma = cv2.multiply(saturation, value, dtype=cv2.CV_32F)
        chroma /= 255  # largest less smallest of red, green and blue
        colour = _between(chroma, PALE)
        score = 0.0
        if self._before is not None:
            hue_before, saturation_before, value_before, colour_before = self._before
            lit = cv2.LUT(cv2.max(value, value_before), self._lit)
            coloured = cv2.multiply(lit, cv2.max(colour, colour_before))  # of the larger chroma, for `_between` only rises
            changes = (
                cv2.multiply(cv2.absdiff(hue, hue_before), coloured, dtype=cv2.CV_32F),
                cv2.multiply(cv2.absdiff(saturation, saturation_before), lit, dtype=cv2.CV_32F),
                cv2.absdiff(value, value_before),
            )
            score = sum(cv2.mean(change)[0] for change in changes) / 3
        self._before = hue, saturation, value, colour
        return score


def _between(values: NDArray[np.float32], limits: tuple[int, int]) -> NDArray[np.float32]:
    """0 up to the first limit, 1 from the second on, a straight line between; in place."""
    import numpy as np

    low, high = limits
    values -= low
    values /= high - low
    return np.clip(values, 0, 1, out=values)


def small_size(width: int, height: int) -> tuple[int, int]:
    """Size of the copy that is compared: the wider of it and `SMALL_SIDE` decides, and it is never enlarged."""
    scale = min(1.0, SMALL_SIDE / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
