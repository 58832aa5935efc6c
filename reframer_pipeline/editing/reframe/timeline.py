"""A plan as a timeline of OpenTimelineIO: a clip for each shot, with the window's keyframes as an effect.

What belongs here: that, and the effect, which the timeline of scenes has as well (`exports.timeline`). What does not: that one.

OpenTimelineIO has no crop of its own, so the effect is called `reframer.crop`, and its keyframes are metadata: frames of the source,
seconds, and the left and upper edge in pixels of the picture. Time is in frames of the video's exact mean rate: where that rate is constant
these are the source's frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from reframer_pipeline.editing.reframe.forms import told
from reframer_pipeline.editing.reframe.plan import Reframing, ShotPath
from reframer_pipeline.editing.timelines import METADATA, media, span

if TYPE_CHECKING:
    import opentimelineio as otio

EFFECT: Final = "reframer.crop"


def as_otio(plan: Reframing) -> str:
    """The timeline as a text."""
    import opentimelineio as otio

    return str(otio.adapters.write_to_string(timeline(plan), "otio_json"))


def timeline(plan: Reframing) -> otio.schema.Timeline:
    """The timeline."""
    import opentimelineio as otio

    rate = float(plan.rate)
    film = media(plan.filename, span(0, plan.facts.duration_seconds, rate))

    def clip(shot: ShotPath) -> otio.schema.Clip:
        title = f"{shot.scene_number}: {plan.wishes.ratio.text}"
        return otio.schema.Clip(title, film, span(float(shot.seconds[0]), shot.end_seconds, rate), effects=[crop(plan, shot)])

    track = otio.schema.Track("reframed", kind=otio.schema.TrackKind.Video)
    track.extend([clip(shot) for shot in plan.shots])
    made = otio.schema.Timeline(film.name, global_start_time=otio.opentime.RationalTime(0, rate), metadata={METADATA: about(plan)})
    made.tracks.append(track)
    return made


def crop(plan: Reframing, shot: ShotPath, *, enabled: bool = True, **more: Any) -> otio.schema.Effect:
    """The window of a shot as an effect on a clip of it.

    Args:
        plan: The plan.
        shot: The shot.
        enabled: Whether the clip is shown so.
        more: Further metadata.
    """
    import opentimelineio as otio

    return otio.schema.Effect(plan.wishes.ratio.text, EFFECT, {METADATA: {**told(plan, shot), **more}}, enabled)


def about(plan: Reframing) -> dict[str, Any]:
    """What the keyframes of all shots have in common."""
    return {
        "video_id": plan.video_id, "ratio": plan.wishes.ratio.text,
        "picture": {"width": plan.picture[0], "height": plan.picture[1]}, "output": {"width": plan.size[0], "height": plan.size[1]},
        "interpolation": "linear in seconds",
    }  # fmt: skip
