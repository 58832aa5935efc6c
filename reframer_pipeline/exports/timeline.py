"""A timeline for editing programs: scenes as clips, elements as markers. As OpenTimelineIO, CMX 3600 edit list and Final Cut Pro 7 XML.

What belongs here: the timeline. What does not: mattes and crops on it (`kept`), the two older formats, which OpenTimelineIO's own adapters
write.

The timeline is the whole video in its order, cut at the scenes. Time is the scene's seconds in frames of the video's exact mean rate: where
that rate is constant these are the source's frames, otherwise the frame that is shown then in a copy at that rate. An edit list and Final
Cut know a few rates only; for another one the nearest of these is taken, and times are right to half a frame of it.

An edit list holds one video track, so it has no mattes. Final Cut has those that are films, and no crops, since its effects are its own.

A whole timeline is held: a scene is some kB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.editing.timelines import METADATA, media, span, title
from reframer_pipeline.exports import File
from reframer_pipeline.exports.kept import add_crops, matte_tracks
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.reading.tables import ELEMENTS, SCENES

if TYPE_CHECKING:
    import opentimelineio as otio

COLOURS: Final = {"easy": "GREEN", "medium": "YELLOW", "hard": "RED"}


def otio_files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.otio", _otio(video)) for video in videos)


def edl_files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.edl", _edl(video)) for video in videos)


def fcp_files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    return ((f"{video.name}.xml", _fcp(video)) for video in videos)


def _otio(video: Video) -> Iterator[bytes]:
    rate, lasts = _clock(video)
    timeline, kept = _scenes(video, rate, lasts), video.kept()
    add_crops(video, kept, {clip.metadata[METADATA]["scene_number"]: clip for clip in timeline.find_clips()})
    timeline.tracks.extend(matte_tracks(video, kept, rate, pictures=True))
    yield from _written(timeline, "otio_json")


def _fcp(video: Video) -> Iterator[bytes]:
    rate, lasts = _clock(video, exact=False)
    timeline = _scenes(video, rate, lasts)
    timeline.tracks.extend(matte_tracks(video, video.kept(), rate, pictures=False))
    yield from _written(timeline, "fcp_xml")


def _edl(video: Video) -> Iterator[bytes]:
    """Events are called by the file, so that editing programs find it; the scenes stand in comments."""
    timeline = _scenes(video, *_clock(video, exact=False))
    for clip in timeline.find_clips():
        clip.metadata["cmx_3600"] = {"comments": [f"SCENE {clip.name}"]}
        clip.media_reference.target_url = clip.media_reference.name
    yield from _written(timeline, "cmx_3600", style="premiere", reelname_len=None)


def _written(timeline: otio.schema.Timeline, adapter: str, **more: Any) -> Iterator[bytes]:
    import opentimelineio as otio

    yield otio.adapters.write_to_string(timeline, adapter, **more).encode()


def _clock(video: Video, exact: bool = True) -> tuple[float, float]:
    """The exact mean rate, or the nearest one that timecodes know; and the seconds that it lasts."""
    import opentimelineio as otio

    known = facts(video.open())
    rate = known["fps_num"] / known["fps_den"]
    return rate if exact else otio.opentime.RationalTime.nearest_smpte_timecode_rate(rate), known["duration_seconds"]


def _scenes(video: Video, rate: float, lasts: float) -> otio.schema.Timeline:
    """The timeline of scenes and elements."""
    import opentimelineio as otio

    def marker(element: dict[str, Any], scene: dict[str, Any]) -> otio.schema.Marker:
        begin, end = (min(max(element[one], scene["start_seconds"]), scene["end_seconds"]) for one in ("start_seconds", "end_seconds"))
        name = title(f"{element['difficulty']} {element['class']}: {element['description']}")
        return otio.schema.Marker(name, span(begin, end, rate), COLOURS[element["difficulty"]], {METADATA: _told(element)})

    elements: dict[int, list[dict[str, Any]]] = {}
    for element in (row for batch in video.rows(ELEMENTS) for row in batch.to_pylist()):
        elements.setdefault(element["scene_number"], []).append(element)
    film = media(video.filename, span(0, lasts, rate))
    track = otio.schema.Track("scenes", kind=otio.schema.TrackKind.Video)
    for scene in (row for batch in video.rows(SCENES) for row in batch.to_pylist()):
        name = title(f"{scene['scene_number']}: {scene['description']}")
        markers = [marker(element, scene) for element in elements.get(scene["scene_number"], [])]
        length = span(scene["start_seconds"], scene["end_seconds"], rate)
        track.append(otio.schema.Clip(name, film, length, markers=markers, metadata={METADATA: _told(scene)}))
    timeline = otio.schema.Timeline(video.name, global_start_time=otio.opentime.RationalTime(0, rate))
    timeline.tracks.append(track)
    return timeline


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """A row as metadata; what is not known is left out."""
    return {name: value for name, value in row.items() if value is not None}
