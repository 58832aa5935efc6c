"""Filters on streams of ffmpeg-python that several commands have.

What belongs here: putting them on. What does not: which make a picture one that is shown (`display`), whole commands (`commands`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reframer_pipeline.media.display import Filter


def through(stream: Any, filters: Sequence[Filter]) -> Any:
    """A stream of ffmpeg-python behind these filters."""
    for name, args, options in filters:
        stream = stream.filter(name, *args, **options)
    return stream


def rising(stream: Any, step: int) -> Any:
    """Frames at times from 0 on, and rising.

    Where time stands still or steps back, as in damaged files, a frame follows the one before by a unit of the time base; one without a
    time follows by `step`.
    """
    later = f"if(isnan(PTS),PREV_OUTPTS+{step},max(PTS-STARTPTS,PREV_OUTPTS+1))"
    return stream.filter("setpts", f"if(isnan(PREV_OUTPTS),0,{later})")
