"""CVAT for video 1.1: a file for each video, to be corrected by hand.

What belongs here: the format (https://docs.cvat.ai/docs/manual/advanced/xml_format). What does not: run lengths (`vision.rle`).

A track has a keyframe for each sighting, and CVAT draws a line from one to the next. Where the object was looked for and not found, the
track goes outside: at the sampled frame after the sighting. What lies between sampled frames is CVAT's guess, not ours.

CVAT has no tracks of masks. It writes each as a track of one frame and reads that as a shape, without its group; datumaro cannot read it
at all. So masks stand as shapes of their frames, in `image` elements as CVAT for images 1.1 has them. CVAT and datumaro read both from
one file. The same `group_id` says that a mask and a track belong together. A mask's runs go along the rows of its bounding rectangle;
ours go down the columns of the frame. A sighting that is in no track has its box beside its mask.

Frames count from 0 in the source. A task's labels must be `person` and `product`; attributes that it does not know are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np

from reframer_pipeline.exports import File
from reframer_pipeline.exports.sightings import Sighting, seen
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.exports.xml import attribute, content
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.schemas import CLASSES
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.trajectories import number_of

# Each with whether it may change within a track.
ATTRIBUTES: Final = {"track": False, "label": True, "confidence": True}


def files(videos: Sequence[Video]) -> Iterator[File]:
    """One file a video."""
    for video in videos:
        yield f"{video.name}.xml", _document(video)


def _document(video: Video) -> Iterator[bytes]:
    results = video.open()
    known = facts(results)
    yield f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n{_meta(video, known)}'.encode()
    yield from _tracks(results)
    yield from _shapes(results, known)
    yield b"</annotations>\n"


def _meta(video: Video, known: dict[str, Any]) -> str:
    kinds = "".join(
        f"<attribute><name>{name}</name><mutable>{changes}</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
        for name, changes in ATTRIBUTES.items()
    )
    labels = "".join(f"      <label><name>{name}</name><type>any</type><attributes>{kinds}</attributes></label>\n" for name in CLASSES)
    last = known["frame_count"] - 1
    chosen = "".join(f"<track>{content(one)}</track>" for one in sorted(video.tracks or ()))
    chosen = f"    <reframer><set>{video.result_id}</set>{chosen}</reframer>\n" if chosen else ""
    return (
        f"  <meta>\n    <task>\n      <name>{content(video.name)}</name>\n      <size>{known['frame_count']}</size>\n"
        f"      <mode>interpolation</mode>\n      <start_frame>0</start_frame>\n      <stop_frame>{last}</stop_frame>\n"
        f"      <labels>\n{labels}      </labels>\n"
        f"      <original_size><width>{known['width']}</width><height>{known['height']}</height></original_size>\n"
        f"    </task>\n    <source>{content(video.filename)}</source>\n{chosen}  </meta>\n"
    )


def _tracks(results: Mapping[str, StageInput]) -> Iterator[bytes]:
    """A track at a time."""
    sampled = sampled_times(results["frames"])[0]
    for batch in results["trajectories"].batches():
        for row in range(batch.num_rows):
            (track,) = batch.slice(row, 1).to_pylist()
            kind, name = track["object_class"], track["track_id"]
            number = number_of(name)
            yield f'  <track id="{number - 1}" label="{kind}" source="auto" group_id="{number}">\n'.encode()
            yield from _keyframes(track, sampled, _attributes(track=name, label=track["label"]))
            yield b"  </track>\n"


def _keyframes(track: dict[str, Any], sampled: np.ndarray, said: str) -> Iterator[bytes]:
    """Boxes of one track: one for each sighting, and one outside where the next sampled frame has none."""
    steps = track["frames"]
    places = np.searchsorted(sampled, [step["frame"] for step in steps])
    goes_on = np.append(np.diff(places) == 1, False)
    for step, place, same in zip(steps, places.tolist(), goes_on.tolist(), strict=True):
        corners = [step[side] for side in ("x1", "y1", "x2", "y2")]
        more = f"{said}{_attributes(confidence=format(step['confidence'], '.4g'))}"
        yield _box(f'frame="{step["frame"]}" outside="0" occluded="0" keyframe="1"', corners, more)
        if not same and place + 1 < sampled.size:
            yield _box(f'frame="{sampled[place + 1]}" outside="1" occluded="0" keyframe="1"', corners, said)


def _shapes(results: Mapping[str, StageInput], known: dict[str, Any]) -> Iterator[bytes]:
    """What is no track: masks, and boxes in no track."""
    size = f'width="{known["width"]}" height="{known["height"]}"'
    for frame, sightings in seen(results):
        shapes = [shape for one in sightings for shape in _of_frame(one, known["height"], known["width"])]
        if shapes:
            yield f'  <image id="{frame}" name="frame_{frame:06d}" {size}>\n'.encode()
            yield from shapes
            yield b"  </image>\n"


def _of_frame(one: Sighting, height: int, width: int) -> Iterator[bytes]:
    group = f' group_id="{one.track[0]}"' if one.track else ""
    said = f'label="{one.object_class}" source="auto" occluded="0"{group}'
    more = _attributes(track=one.track[1] if one.track else "", label=one.label, confidence=format(one.confidence, ".4g"))
    if one.track is None:
        yield _box(said, one.xyxy, more)
    if one.mask and one.mask.area:
        left, top, pixels = rle.cropped(one.mask.rle, height, width)
        runs = ", ".join(map(str, rle.runs(pixels.ravel())))
        place = f'left="{left}" top="{top}" width="{pixels.shape[1]}" height="{pixels.shape[0]}"'
        yield f'    <mask {said} rle="{runs}" {place} z_order="0">{more}</mask>\n'.encode()


def _box(said: str, corners: Sequence[float], more: str) -> bytes:
    sides = " ".join(f'{side}="{value:.2f}"' for side, value in zip(("xtl", "ytl", "xbr", "ybr"), corners, strict=True))
    return f'    <box {said} {sides} z_order="0">{more}</box>\n'.encode()


def _attributes(**values: str) -> str:
    return "".join(f"<attribute name={attribute(name)}>{content(value)}</attribute>" for name, value in values.items())
