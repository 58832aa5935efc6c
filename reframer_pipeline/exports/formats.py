"""The formats there are.

What belongs here: what a format is, and the list. What does not: any format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from reframer_pipeline.exports import File, chapters, coco, cvat, davis, mot, tables, timeline
from reframer_pipeline.exports.videos import Video
from reframer_pipeline.failures import UnknownFormat


@dataclass(frozen=True)
class Format:
    """What an export can look like.

    Attributes:
        name: What a person asks for.
        says: What it is for, in a line.
        ending: Of the one file that a single video gives, `.json`; None if a video gives several files.
        media_type: Of that file.
        joins: Whether several videos give one file as well.
        with_kept: Whether mattes and reframed videos that are kept are in it.
        files: Makes the files of an export.
    """

    name: str
    says: str
    files: Callable[[Sequence[Video]], Iterator[File]]
    ending: str | None = None
    media_type: str = "application/octet-stream"
    joins: bool = False
    with_kept: bool = False


FORMATS: Final = {
    one.name: one
    for one in (
        Format("coco", "COCO: boxes, masks and tracks of all videos in one file", coco.files, ".json", "application/json", joins=True),
        Format("mot", "MOT Challenge: tracks and detections as text", mot.files),
        Format("cvat", "CVAT for video 1.1: tracks and masks, to be corrected by hand", cvat.files, ".xml", "application/xml"),
        Format("davis", "DAVIS and YouTube-VOS: the masks of tracks as indexed PNGs", davis.files),
        Format("csv", "the five tables of results for spreadsheets", tables.csv_files),
        Format("parquet", "the five tables of results for pandas, DuckDB and Spark", tables.parquet_files),
        Format("otio", "OpenTimelineIO: scenes, elements, mattes, crops", timeline.otio_files, ".otio", "application/json", with_kept=True),
        Format("edl", "CMX 3600 edit list: scenes as events, elements as markers", timeline.edl_files, ".edl", "text/plain"),
        Format("fcpxml", "Final Cut Pro 7 XML, for Premiere and Resolve", timeline.fcp_files, ".xml", "application/xml", with_kept=True),
        Format("vtt", "WebVTT: scenes as chapters", chapters.files, ".vtt", "text/vtt"),
    )
}


def named(name: str) -> Format:
    """The format of this name. Raises `UnknownFormat`."""
    if name not in FORMATS:
        raise UnknownFormat(f"There is no format {name!r}.", f"The formats are {', '.join(FORMATS)}.")
    return FORMATS[name]
