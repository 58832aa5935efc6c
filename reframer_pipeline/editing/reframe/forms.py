"""A plan as files: JSON, After Effects' keyframe text.

What belongs here: these formats. What does not: FFmpeg's commands (`sendcmd`), OpenTimelineIO (`timeline`), the clip itself (`render`).

All are made from the same keyframes. JSON and After Effects move evenly between them, in time; the rendered clip and `sendcmd` have the
window at whole pixels, `floor(x + 0.5)`. A frame is the source's, also where only one scene is wanted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from reframer_pipeline.editing.reframe.keyframes import DIGITS, TOLERANCE
from reframer_pipeline.editing.reframe.path import JERK, SPEED
from reframer_pipeline.editing.reframe.plan import Reframing, ShotPath

TIME_DIGITS: Final = 9  # of seconds


def told(plan: Reframing, shot: ShotPath) -> dict[str, Any]:
    """What is known of a shot, as JSON has it."""
    return {
        "scene_number": shot.scene_number,
        "start_frame": shot.start_frame,
        "end_frame": shot.end_frame,
        "start_seconds": round(float(shot.seconds[0]), TIME_DIGITS),
        "end_seconds": round(shot.end_seconds, TIME_DIGITS),
        "window": {"width": shot.window[0], "height": shot.window[1]},
        "letterbox": shot.whole,
        "subjects": [{"track_id": track_id, "share": round(share, 4)} for track_id, share in shot.subject.tracks],
        "inside_share": None if shot.inside is None else round(shot.inside, 4),
        "all_inside_share": None if shot.all_inside is None else round(shot.all_inside, 4),
        "keyframes": [
            {
                "frame": shot.start_frame + int(place),
                "seconds": round(float(shot.seconds[place]), TIME_DIGITS),
                "x": round(float(x), DIGITS),
                "y": round(float(y), DIGITS),
            }
            for place, (x, y) in zip(shot.keys, shot.xy, strict=True)
        ],
    }


def as_json(plan: Reframing) -> Iterator[str]:
    """The whole plan; pieces of a text."""
    about = {
        "video_id": plan.video_id,
        "filename": plan.filename,
        "ratio": plan.wishes.ratio.text,
        "picture": {"width": plan.picture[0], "height": plan.picture[1]},
        "output": {"width": plan.size[0], "height": plan.size[1]},
        "frame_rate": str(plan.rate),
        "interpolation": "linear in seconds",
        "keyframe_error_px": TOLERANCE,
        "limits": {"speed_px_s": [SPEED * side for side in plan.picture], "jerk_px_s3": [JERK * side for side in plan.picture]},
        "shots": [told(plan, shot) for shot in plan.shots],
    }
    yield from json.JSONEncoder(ensure_ascii=False, indent=1).iterencode(about)
    yield "\n"


def as_after_effects(plan: Reframing) -> Iterator[str]:
    """Keyframes for a layer of the video in a composition of the output's size: select the layer and paste.

    The anchor point is the window's centre, the position is the composition's, the scale is 100 except where the whole picture is shown.
    Frames are those of the video's mean rate; where that is not constant, the nearest.
    """
    rate = float(plan.rate)
    yield "Adobe After Effects 8.0 Keyframe Data\n\n"
    head = {
        "Units Per Second": f"{rate:.6g}", "Source Width": plan.picture[0], "Source Height": plan.picture[1],
        "Source Pixel Aspect Ratio": 1, "Comp Pixel Aspect Ratio": 1,
    }  # fmt: skip
    yield from (f"\t{name}\t{value}\n" for name, value in head.items())
    yield "\nTransform\tAnchor Point\n\tFrame\tX pixels\tY pixels\tZ pixels\t\n"
    for frame, shot, (x, y) in _by_frame(plan, rate):
        yield f"\t{frame}\t{x + shot.window[0] / 2:.6g}\t{y + shot.window[1] / 2:.6g}\t0\t\n"
    yield "\nTransform\tPosition\n\tFrame\tX pixels\tY pixels\tZ pixels\t\n"
    yield f"\t0\t{plan.size[0] / 2:.6g}\t{plan.size[1] / 2:.6g}\t0\t\n"
    yield "\nTransform\tScale\n\tFrame\tX percent\tY percent\tZ percent\t\n"
    for frame, shot, _ in _by_frame(plan, rate):
        scale = 100 * min(plan.size[0] / shot.window[0], plan.size[1] / shot.window[1])
        yield f"\t{frame}\t{scale:.6g}\t{scale:.6g}\t100\t\n"
    yield "\n\nEnd of Keyframe Data\n"


def _by_frame(plan: Reframing, rate: float) -> Iterator[tuple[int, ShotPath, tuple[float, float]]]:
    """The keyframes at frames of a rate, each frame once. A shot also has one at its last frame: what comes after it is no movement.

    A frame to which the last of a shot and the first of the next one come is the next one's; the shot then ends a frame before.
    """
    firsts = [round(float(shot.seconds[0]) * rate) for shot in plan.shots]
    for shot, first, end in zip(plan.shots, firsts, [*firsts[1:], None], strict=True):
        places, xy = shot.keys.tolist(), shot.xy.tolist()
        if places[-1] != len(shot.seconds) - 1:
            places, xy = [*places, len(shot.seconds) - 1], [*xy, xy[-1]]
        kept: dict[int, tuple[float, float]] = {}
        for place, (x, y) in zip(places, xy, strict=True):
            frame = round(float(shot.seconds[place]) * rate)
            kept.setdefault(frame if end is None else min(frame, end - 1), (x, y))
        yield from ((frame, shot, at) for frame, at in kept.items() if frame >= first)
