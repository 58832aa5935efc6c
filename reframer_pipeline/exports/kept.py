"""What is kept of a video's mattes and reframed videos, as parts of its timeline.

What belongs here: a track for each matte, and crop effects on the clips of scenes. What does not: the timeline (`timeline`), the effect
itself (`editing.reframe.timeline`), who sees which (`reading.deliverables`).

A matte lies where it was cut out, so that it covers its own pixels. Its file is named as it is called when it is downloaded; a zip of
pictures stands for the folder of that name, into which somebody has unpacked it.

Keyframes come from the plan of the reframed video. It is made again from the stored results, the same whatever the form that is kept. The
effects are switched off: the timeline shows the whole picture, as its mattes do, and of several only one can be meant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from reframer_pipeline.editing.matte.order import MatteOrder
from reframer_pipeline.editing.reframe.order import ReframeOrder, plan_of
from reframer_pipeline.editing.reframe.timeline import about, crop
from reframer_pipeline.editing.timelines import METADATA, media, span, title
from reframer_pipeline.editing.writing import NAME_DIGITS
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.failures import ResultsGone
from reframer_pipeline.media.sampled import all_seconds
from reframer_pipeline.reading.deliverables import download_name
from reframer_pipeline.results.deliverable import Deliverable

if TYPE_CHECKING:
    import opentimelineio as otio


def matte_tracks(video: Video, kept: Iterable[Deliverable], rate: float, *, pictures: bool) -> Iterator[otio.schema.Track]:
    """A video track for each matte that is kept, the oldest wish first; with chosen tracks alone, each whose tracks are among these.

    Args:
        video: The video.
        kept: What is kept of it.
        rate: Frames a second of the timeline.
        pictures: Whether mattes that are pictures are wanted, too.
    """
    mattes = [(one, MatteOrder.read(one.ordered)) for one in kept if one.kind == "matte"]
    wanted = [
        (one, order)
        for one, order in mattes
        if (pictures or order.shape.is_film) and (video.tracks is None or video.tracks.issuperset(order.tracks))
    ]
    if not wanted:
        return
    results = video.open()
    seconds, lasts = all_seconds(results["frames"]), facts(results)["duration_seconds"]
    for one, order in wanted:
        end = float(seconds[order.stop]) if order.stop < len(seconds) else lasts
        yield _track(one, order, download_name(one, video.filename), span(float(seconds[order.start]), end, rate))


def _track(one: Deliverable, order: MatteOrder, filename: str, place: otio.opentime.TimeRange) -> otio.schema.Track:
    import opentimelineio as otio

    whole = otio.opentime.TimeRange(otio.opentime.RationalTime(0, place.start_time.rate), place.duration)
    told = {
        "deliverable_id": one.id, "form": order.shape.form, "cutout": order.shape.cutout, "soften": order.soften,
        "tracks": list(order.tracks), "start_frame": order.start, "end_frame": order.stop,
    }  # fmt: skip
    name = title(f"{'cutout' if order.shape.cutout else 'matte'} {' '.join(order.tracks)}")
    file = media(filename, whole) if order.shape.is_film else _pictures(filename, order.start, whole)
    track = otio.schema.Track(name, kind=otio.schema.TrackKind.Video)
    if place.start_time.value:
        track.append(otio.schema.Gap(duration=place.start_time))
    track.append(otio.schema.Clip(name, file, whole, metadata={METADATA: told}))
    return track


def _pictures(filename: str, first: int, available: otio.opentime.TimeRange) -> otio.schema.ImageSequenceReference:
    """The pictures of a zip, each of which is called by its source frame."""
    import opentimelineio as otio

    zipped = media(filename, available)
    folder, rate = f"{zipped.target_url.removesuffix('.zip')}/", available.start_time.rate
    made = otio.schema.ImageSequenceReference(folder, "", ".png", first, 1, rate, NAME_DIGITS, available_range=available)
    made.name = zipped.name
    return made


def add_crops(video: Video, kept: Iterable[Deliverable], clips: Mapping[int, otio.schema.Clip]) -> None:
    """Puts the keyframes of each reframed video that is kept on the clips of the scenes that it has.

    Args:
        video: The video.
        kept: What is kept of it.
        clips: Of its scenes, by number.
    """
    reframes = [(one, ReframeOrder.read(one.ordered)) for one in kept if one.kind == "reframe"]
    for wishes in dict.fromkeys(order.wishes for _, order in reframes):
        same = [(one, order) for one, order in reframes if order.wishes == wishes]
        try:
            plan = plan_of(video.storage, same[0][1])
        except ResultsGone as gone:
            raise video.deleted() from gone
        wanted = {"tracks": sorted(wishes.track_ids), "label": wishes.label or "", "deliverable_ids": [one.id for one, _ in same]}
        for shot in plan.shots:
            if shot.scene_number in clips:
                clips[shot.scene_number].effects.append(crop(plan, shot, enabled=False, **about(plan), **wanted))
