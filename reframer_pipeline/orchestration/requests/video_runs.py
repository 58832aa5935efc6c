"""What a video's run is called, whoever asks for it: the upload sensor, or the API at once. Leaf module: it does not import Dagster.

What belongs here: the name by which the one knows what the other has asked for, and the labels. What does not: asking.
"""

from __future__ import annotations

from datetime import datetime

from reframer_pipeline.orchestration.tags import FILENAME_TAG, PRIORITY_TAG, VIDEO_PRIORITY


def run_key(video_id: str, created_at: datetime) -> str:
    """The name of a video's first run. A video that was deleted and came again is another one."""
    return f"video:{video_id}:{int(created_at.timestamp())}"


def again_key(video_id: str, created_at: datetime, runs: int) -> str:
    """The name of a run that somebody asks for after so many: two who ask at once ask for the same."""
    return f"again:{video_id}:{int(created_at.timestamp())}:{runs}"


def run_tags(filename: str) -> dict[str, str]:
    """The labels of such a run, beside its name."""
    return {PRIORITY_TAG: VIDEO_PRIORITY, FILENAME_TAG: filename[:200]}
