"""Results of videos that were never filmed: tracks that go where a test wants them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from reframer_pipeline.handover import StageInput
from reframer_pipeline_tests.support import MemoryInput

FPS = 25
STRIDE = 5
Place = Callable[[float], tuple[float, float, float, float]]  # a box at a time in seconds


def still(x1: float, y1: float, x2: float, y2: float) -> Place:
    """A box that stays."""
    return lambda seconds: (x1, y1, x2, y2)


def crossing(speed: float, start: float = 20, width: float = 80) -> Place:
    """A box that goes to the right, pixels a second."""
    return lambda seconds: (start + speed * seconds, 60, start + width + speed * seconds, 300)


def track(
    track_id: str, place: Place, times: Sequence[float], frames: tuple[int, int], *, kind: str = "person", label: str = "person"
) -> dict[str, Any]:
    """A track that is sighted in every fifth of these frames."""
    seen = [frame for frame in range(*frames) if frame % STRIDE == 0]
    steps = [
        {
            "frame": frame, "timestamp": times[frame], **dict(zip(("x1", "y1", "x2", "y2"), place(times[frame]), strict=True)),
            "confidence": 0.9, "detection_id": f"{track_id}-{frame}", "seconds": 0.2,
        }
        for frame in seen
    ]  # fmt: skip
    return {
        "track_id": track_id, "object_class": kind, "label": label, "start_frame": seen[0], "end_frame": seen[-1] + 1,
        "avg_confidence": 0.9, "frames": steps,
    }  # fmt: skip


def even(frames: int) -> list[float]:
    """Times of a constant rate."""
    return [frame / FPS for frame in range(frames)]


def results(
    tracks: list[dict[str, Any]],
    times: Sequence[float],
    cuts: Sequence[int] = (),
    *,
    picture: tuple[int, int] = (640, 360),
    metadata: dict[str, Any] | None = None,
) -> dict[str, StageInput]:
    """What reframing reads of a video's results."""
    facts = {
        "container": "mov,mp4", "codec": "h264", "pix_fmt": "yuv420p", "width": picture[0], "height": picture[1],
        "coded_width": picture[0], "coded_height": picture[1], "rotation": 0, "sar_num": 1, "sar_den": 1, "fps_num": FPS, "fps_den": 1,
        "variable_frame_rate": False, "duration_seconds": len(times) / FPS, "frame_count": len(times), "time_base_num": 1,
        "time_base_den": 12800, "start_pts": 0, "size_bytes": 1, "sha256": "0" * 64, "stream_index": 0, "has_audio": False,
        "mirrored": False, "tone_mapped_from": None, "notes": [],
    }  # fmt: skip
    frames = [
        {"frame_number": frame, "pts": round(at * 12800), "timestamp": at, "content_score": 0.0, "sampled": frame % STRIDE == 0}
        for frame, at in enumerate(times)
    ]
    edges, ends = [0, *cuts, len(times)], [*times, times[-1] + 1 / FPS]
    scenes = [
        {
            "scene_number": number, "start_frame": start, "end_frame": end, "start_seconds": ends[start], "end_seconds": ends[end],
            "describer": "local", "analysis": json.dumps({}),
        }
        for number, (start, end) in enumerate(zip(edges, edges[1:], strict=False), start=1)
    ]  # fmt: skip
    rows = {"metadata": [facts | (metadata or {})], "frames": frames, "trajectories": tracks, "scenes": scenes}
    return {stage: MemoryInput(stage, of_stage) for stage, of_stage in rows.items()}
