"""WebVTT chapters: a file for each video, a chapter a scene.

What belongs here: the format (https://www.w3.org/TR/webvtt1/#introduction-chapters). What does not: the words (`scenes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from reframer_pipeline.exports import File
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.reading.tables import SCENES


def files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.vtt", _chapters(video)) for video in videos)


def _chapters(video: Video) -> Iterator[bytes]:
    yield b"WEBVTT\n"
    for batch in video.rows(SCENES):
        for scene in batch.to_pylist():
            begin, end = round(1000 * scene["start_seconds"]), round(1000 * scene["end_seconds"])
            # text of one line, and nothing that could be read as a tag or as times; a chapter that lasts no time would not be one
            words = escape(" ".join(scene["description"].split()), quote=False)
            yield f"\n{scene['scene_number']}\n{_time(begin)} --> {_time(max(end, begin + 1))}\n{words}\n".encode()


def _time(milliseconds: int) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds:02}.{thousandths:03}"
