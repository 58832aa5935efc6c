"""COCO: all videos in one JSON file.

What belongs here: the format (https://cocodataset.org/#format-data). What does not: what counts as a sighting (`sightings`).

Images are the sampled frames, those without a detection as well. A category is a label, its supercategory the class. What COCO itself has
no place for stands where readers of video data sets look for it, as TAO has it: `videos`, an image's `video_id`, an annotation's
`track_id`. There is no `info` and no `licenses`: nothing is known of either.

The order of the keys is free in JSON, so `categories` comes last, when all labels were seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from reframer_pipeline.exports import File
from reframer_pipeline.exports.chosen import track_ids
from reframer_pipeline.exports.sightings import seen
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.vision.trajectories import number_of

NAME = "annotations.json"


def files(videos: Sequence[Video]) -> Iterator[File]:
    """One file."""
    yield NAME, _document(videos)


def _document(videos: Sequence[Video]) -> Iterator[bytes]:
    categories: dict[tuple[str, str], int] = {}
    yield b"{"
    yield from _array("videos", _videos(videos))
    yield b",\n"
    yield from _array("images", _images(videos))
    yield b",\n"
    yield from _array("annotations", _annotations(videos, categories))
    yield b",\n"
    named = ({"id": number, "name": label, "supercategory": kind} for (kind, label), number in categories.items())
    yield from _array("categories", named)
    yield b"}\n"


def _array(name: str, values: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    yield f'"{name}":['.encode()
    for place, value in enumerate(values):
        yield (",\n" if place else "\n").encode() + json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
    yield b"]"


def _videos(videos: Sequence[Video]) -> Iterator[dict[str, Any]]:
    for place, video in enumerate(videos, start=1):
        known = facts(video.open())
        rate = known["fps_num"] / known["fps_den"]
        size = {"width": known["width"], "height": known["height"], "frame_count": known["frame_count"], "fps": rate}
        yield {"id": place, "name": video.name, "file_name": video.filename, "video_id": video.video_id, **size}


def _images(videos: Sequence[Video]) -> Iterator[dict[str, Any]]:
    number = 0
    for place, video in enumerate(videos, start=1):
        results = video.open()
        known = facts(results)
        size = {"width": known["width"], "height": known["height"]}
        for frame, seconds in zip(*(column.tolist() for column in sampled_times(results["frames"])), strict=True):
            number += 1
            name = f"{video.name}/{frame:08d}.jpg"
            yield {"id": number, "video_id": place, "file_name": name, **size, "frame_number": frame, "timestamp": seconds}


def _annotations(videos: Sequence[Video], categories: dict[tuple[str, str], int]) -> Iterator[dict[str, Any]]:
    """All sightings; new categories are numbered on the way."""
    number = images = tracks = 0
    for video in videos:
        results = video.open()
        known, sampled = facts(results), sampled_times(results["frames"])[0]
        for frame, sightings in seen(results):
            image = images + int(np.searchsorted(sampled, frame)) + 1
            for one in sightings:
                number += 1
                row: dict[str, Any] = {
                    "id": number, "image_id": image,
                    "category_id": categories.setdefault((one.object_class, one.label), len(categories) + 1),
                    "bbox": one.xywh, "area": one.mask.area if one.mask else one.xywh[2] * one.xywh[3], "iscrowd": 0,
                    "score": one.confidence, "attributes": {"detection_id": one.detection_id},
                }  # fmt: skip
                if one.mask:
                    row["segmentation"] = {"size": [known["height"], known["width"]], "counts": one.mask.rle}
                if one.track:
                    row["track_id"] = tracks + one.track[0]
                    row["attributes"]["track"] = one.track[1]
                yield row
        images += sampled.size
        tracks += max(map(number_of, track_ids(results["trajectories"])), default=0)
