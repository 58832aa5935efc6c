"""WebVTT chapters. No reader of the format is among the libraries, so what the specification asks is checked line by line."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path

import pytest

from reframer_pipeline.exports.videos import Video
from reframer_pipeline.reading.tables import SCENES
from reframer_pipeline_tests.exports import truth

Exported = Callable[..., Path]
CUE = re.compile(r"(\d+)\n((?:\d\d:){2}\d\d\.\d{3}) --> ((?:\d\d:){2}\d\d\.\d{3})\n([^\n<>]+)")


@pytest.mark.models
def test_the_computed_clip_is_as_in_the_database(drawn: Video, exported: Exported) -> None:
    _compare(exported("vtt", drawn), drawn)


def test_what_is_awkward_is_as_in_the_database(made: list[Video], exported: Exported) -> None:
    folder = exported("vtt", *made)
    for video in made:
        _compare(folder, video)


def _compare(folder: Path, video: Video) -> None:
    """Cues parted by empty lines, each of a number, times and one line of text without what could be a tag."""
    header, *cues = (folder / f"{video.name}.vtt").read_bytes().decode().strip().split("\n\n")
    assert header == "WEBVTT"
    for cue, scene in zip(cues, truth.rows(video, SCENES), strict=True):
        found = CUE.fullmatch(cue)
        assert found
        assert int(found[1]) == scene["scene_number"] and unescape(found[4]) == " ".join(scene["description"].split())
        assert (_seconds(found[2]), _seconds(found[3])) == pytest.approx((scene["start_seconds"], scene["end_seconds"]), abs=0.0011)


def _seconds(time: str) -> float:
    hours, minutes, seconds = time.split(":")
    return 3600 * int(hours) + 60 * int(minutes) + float(seconds)
