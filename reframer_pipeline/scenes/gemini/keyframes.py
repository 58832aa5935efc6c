"""Keyframes: the few sampled frames that show every shot and every track, as far as their number allows.

What belongs here: choosing them and making small pictures of them. What does not: sending them (`client`). Chosen greedily: each time
the frame that shows most of what no chosen frame shows yet, a shot counting as much as a track in it; among equals the one nearest to
its shot's middle.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Final

import numpy as np

from reframer_pipeline.media.frame_store import FrameStore
from reframer_pipeline.scenes.gemini.client import Keyframe
from reframer_pipeline.scenes.observations import Observations
from reframer_pipeline.scenes.shots import Shot

# Longer side in pixels and JPEG quality, best first. Gemini cuts larger pictures into tiles of 768 and counts each.
SIZES: Final = ((1024, 85), (1024, 60), (768, 50), (512, 40))
MAX_BYTES: Final = 14_500_000  # a request may have 20 MB; base64 makes 4 bytes of 3


def choose_keyframes(sampled: Sequence[int], shots: Sequence[Shot], seen: Observations, limit: int) -> list[int]:
    """Choose keyframes.

    Args:
        sampled: Sampled source frames, ascending.
        shots: The video's shots.
        seen: All sightings.
        limit: Most frames.

    Returns:
        Source frames, ascending; the same input always gives the same ones. Fewer than `limit` if these show everything.
    """
    starts = [shot.start_frame for shot in shots]
    shows: dict[int, set[tuple[int, int]]] = {}
    middle: dict[int, float] = {}
    for frame in sampled:
        number = bisect.bisect_right(starts, frame) - 1
        shot = shots[number]
        shows[frame] = {(number, -1)}
        middle[frame] = abs(frame - (shot.start_frame + shot.end_frame - 1) / 2) / (shot.end_frame - shot.start_frame)
    for frame, track in zip(seen.frame.tolist(), seen.track.tolist(), strict=True):
        shows[frame].add((bisect.bisect_right(starts, frame) - 1, track))
    chosen: list[int] = []
    while shows and len(chosen) < limit:
        best = min(shows, key=lambda frame: (-len(shows[frame]), middle[frame], frame))
        shown = shows.pop(best)
        if not shown:
            break
        chosen.append(best)
        shows = {frame: rest - shown for frame, rest in shows.items()}
    return sorted(chosen)


def keyframe_pictures(store: FrameStore, seconds: dict[int, float]) -> list[Keyframe]:
    """Small pictures of frames, all together at most `MAX_BYTES`.

    Args:
        store: The video's sampled frames.
        seconds: Frames and their times.
    """
    budget = MAX_BYTES // max(1, len(seconds))
    return [Keyframe(at, small_jpeg(store.read(frame), budget)) for frame, at in sorted(seconds.items())]


def small_jpeg(rgb: np.ndarray, budget: int) -> bytes:
    """A JPEG of at most `budget` bytes, as good as that allows: the best of `SIZES` that fits, else the last.

    Args:
        rgb: `(H, W, 3)` uint8.
        budget: Bytes.
    """
    import cv2

    height, width = rgb.shape[:2]
    jpeg = b""
    for side, quality in SIZES:
        share = min(1.0, side / max(height, width))
        size = (max(1, round(width * share)), max(1, round(height * share)))
        small = rgb if share == 1 else np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
        done, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
        assert done, "OpenCV encodes every 8-bit picture"
        jpeg = encoded.tobytes()
        if len(jpeg) <= budget:
            break
    return jpeg
