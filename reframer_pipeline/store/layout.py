"""The layout: under which key each object lies.

What belongs here: writing keys, and reading them. What does not: the objects (`objects`), who names them in the database.

    videos/AB/SHA256                          an upload, by its content; AB are the first two digits
    results/VIDEO/STAGE/RESULT.UNIQUE.SUFFIX  a Parquet file, or what is attached to one; each try has a name of its own
"""

from __future__ import annotations

import re
from typing import Final

VIDEOS: Final = "videos"
RESULTS: Final = "results"
_UUID: Final = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PART: Final = r"(?P<part>\.[0-9a-f]+\.part)?"  # what is left of a put that was cut off
VIDEO: Final = re.compile(rf"{VIDEOS}/[0-9a-f]{{2}}/(?P<sha256>[0-9a-f]{{64}}){_PART}")
RESULT: Final = re.compile(rf"{RESULTS}/(?P<video>{_UUID})/(?P<stage>[a-z_]+)/{_UUID}\.[0-9a-f]+\.[a-z0-9]+?{_PART}")


def video_key(sha256: str) -> str:
    """Where a video file lies."""
    return f"{VIDEOS}/{sha256[:2]}/{sha256}"


def result_key(video_id: str, stage: str, name: str) -> str:
    """Where an object of a result lies; its name begins with the result's id and was never used before."""
    return f"{RESULTS}/{video_id}/{stage}/{name}"
