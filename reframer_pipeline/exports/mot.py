"""MOT Challenge: tracks and detections as text, a folder for each video.

What belongs here: the format (Milan et al., "MOT16: A Benchmark for Multi-Object Tracking", section 4; https://motchallenge.net). What
does not: masks, which it has none of. Frames, track ids and pixels count from 1, as that paper says; frames are the source's.

- `gt/gt.txt`: the tracks as a truth to measure others by. Its columns: frame, track, left, top, width, height, 1 (counts), class, 1
  (visibility: not known).
- `gt/labels.txt`: the classes in the order of their numbers, a line each. 1 is MOT's pedestrian; what MOT calls 2, a person on a vehicle,
  is a product here. CVAT and datumaro read this file; TrackEval passes over 2 where it counts pedestrians.
- `results/NAME.txt`: the tracks as a tracker's answer, to be measured. The same columns up to the height, confidence, and -1 three times.
- `det/det.txt`: every detection, in a track or not: -1 for the track, then as for results.
- `seqinfo.ini`: the rate is whole there, as readers want it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from reframer_pipeline.exports import File
from reframer_pipeline.exports.sightings import Sighting, seen
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.schemas import CLASSES


def files(videos: Sequence[Video]) -> Iterator[File]:
    """Five files a video."""
    for video in videos:
        yield f"{video.name}/seqinfo.ini", _sequence(video)
        yield f"{video.name}/gt/gt.txt", _lines(video, _truth)
        yield f"{video.name}/gt/labels.txt", (f"{name}\n".encode() for name in CLASSES)
        yield f"{video.name}/results/{video.name}.txt", _lines(video, _answer)
        yield f"{video.name}/det/det.txt", _lines(video, _detection)


def _sequence(video: Video) -> Iterator[bytes]:
    known = facts(video.open())
    rate = max(1, round(known["fps_num"] / known["fps_den"]))
    yield (
        f"[Sequence]\nname={video.name}\nimDir=img1\nframeRate={rate}\nseqLength={known['frame_count']}\n"
        f"imWidth={known['width']}\nimHeight={known['height']}\nimExt=.jpg\n"
    ).encode()


def _lines(video: Video, line: Callable[[Sighting], str | None]) -> Iterator[bytes]:
    for frame, sightings in seen(video.open(), masks=False):
        for one in sightings:
            if said := line(one):
                yield f"{frame + 1},{said}\n".encode()


def _truth(one: Sighting) -> str | None:
    return f"{one.track[0]},{_box(one)},1,{CLASSES.index(one.object_class) + 1},1" if one.track else None


def _answer(one: Sighting) -> str | None:
    return f"{one.track[0]},{_box(one)},{one.confidence},-1,-1,-1" if one.track else None


def _detection(one: Sighting) -> str:
    return f"-1,{_box(one)},{one.confidence},-1,-1,-1"


def _box(one: Sighting) -> str:
    x, y, width, height = one.xywh
    return f"{x + 1:.4f},{y + 1:.4f},{width:.4f},{height:.4f}"
