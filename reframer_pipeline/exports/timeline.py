"""A timeline for editing programs: scenes as clips, elements as markers. As OpenTimelineIO, CMX 3600 edit list and Final Cut Pro 7 XML.

What belongs here: the timeline. What does not: the two older formats, which OpenTimelineIO's own adapters write.

The timeline is the whole video in its order, cut at the scenes. Its clips point at the file by its name, which is all that is known of
where it lies; editing programs ask for it. Time is the scene's seconds in frames of the video's exact mean rate: where that rate is
constant these are the source's frames, otherwise the frame that is shown then in a copy at that rate. An edit list and Final Cut know a
few rates only; for another one the nearest of these is taken, and times are right to half a frame of it.

A whole timeline is held: a scene is some kB.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from reframer_pipeline.exports import File
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.exports.xml import plain
from reframer_pipeline.reading.tables import ELEMENTS, SCENES

if TYPE_CHECKING:
    import opentimelineio as otio

LONGEST_TITLE: Final = 80  # characters
COLOURS: Final = {"easy": "GREEN", "medium": "YELLOW", "hard": "RED"}
METADATA: Final = "reframer"


def otio_files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.otio", _written(_timeline(video, exact=True), "otio_json")) for video in videos)


def edl_files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.edl", _edl(video)) for video in videos)


def fcp_files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.xml", _written(_timeline(video, exact=False), "fcp_xml")) for video in videos)


def _edl(video: Video) -> Iterator[bytes]:
    """Events are called by the file, so that editing programs find it; the scenes stand in comments."""
    timeline = _timeline(video, exact=False)
    for clip in timeline.find_clips():
        clip.metadata["cmx_3600"] = {"comments": [f"SCENE {clip.name}"]}
        clip.media_reference.target_url = clip.media_reference.name
    yield from _written(timeline, "cmx_3600", style="premiere", reelname_len=None)


def _written(timeline: otio.schema.Timeline, adapter: str, **more: Any) -> Iterator[bytes]:
    import opentimelineio as otio

    yield otio.adapters.write_to_string(timeline, adapter, **more).encode()


def _timeline(video: Video, exact: bool) -> otio.schema.Timeline:
    """The timeline at the exact mean rate, or at the nearest one that timecodes know."""
    import opentimelineio as otio

    known = facts(video.open())
    rate = known["fps_num"] / known["fps_den"]
    if not exact:
        rate = otio.opentime.RationalTime.nearest_smpte_timecode_rate(rate)

    def span(begin: float, end: float) -> otio.opentime.TimeRange:
        first, last = round(begin * rate), round(end * rate)
        length = max(last - first, 1)  # where time stands still, as in damaged files, too: nobody reads an event of no frame
        return otio.opentime.TimeRange(otio.opentime.RationalTime(first, rate), otio.opentime.RationalTime(length, rate))

    def marker(element: dict[str, Any], scene: dict[str, Any]) -> otio.schema.Marker:
        begin, end = (min(max(element[one], scene["start_seconds"]), scene["end_seconds"]) for one in ("start_seconds", "end_seconds"))
        name = _title(f"{element['difficulty']} {element['class']}: {element['description']}")
        return otio.schema.Marker(name, span(begin, end), COLOURS[element["difficulty"]], {METADATA: _told(element)})

    elements: dict[int, list[dict[str, Any]]] = {}
    for element in (row for batch in video.rows(ELEMENTS) for row in batch.to_pylist()):
        elements.setdefault(element["scene_number"], []).append(element)
    file = _line(re.split(r"[/\\]", video.filename)[-1])
    media = otio.schema.ExternalReference(quote(file), span(0, known["duration_seconds"]))
    media.name = file
    track = otio.schema.Track("scenes", kind=otio.schema.TrackKind.Video)
    for scene in (row for batch in video.rows(SCENES) for row in batch.to_pylist()):
        name = _title(f"{scene['scene_number']}: {scene['description']}")
        markers = [marker(element, scene) for element in elements.get(scene["scene_number"], [])]
        length = span(scene["start_seconds"], scene["end_seconds"])
        track.append(otio.schema.Clip(name, media, length, markers=markers, metadata={METADATA: _told(scene)}))
    timeline = otio.schema.Timeline(video.name, global_start_time=otio.opentime.RationalTime(0, rate))
    timeline.tracks.append(track)
    return timeline


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row as metadata; what is not known is left out."""
    return {name: value for name, value in row.items() if value is not None}


def _line(text: str) -> str:
    """Text of one line that any of the formats can hold. A line break in an edit list would begin another event."""
    return " ".join(plain(text).split())


def _title(text: str) -> str:
    """Such a text, short enough to be read on a clip; the whole of it is in the metadata."""
    line = _line(text)
    return line if len(line) <= LONGEST_TITLE else f"{line[: LONGEST_TITLE - 1].rstrip()}…"
