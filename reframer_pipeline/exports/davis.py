"""DAVIS and YouTube-VOS: the masks of tracks as indexed PNGs, a folder for each video, and `meta.json`.

What belongs here: the format (https://davischallenge.org, https://youtube-vos.org). What does not: boxes, and what is in no track, which
it has no place for.

`Annotations/NAME/00005.png` is frame 5 of the source, as YouTube-VOS counts its every fifth frame. Its pixels say the object's number, 0
for none. A pixel has one object: where masks overlap, the more confident lies on top, as in `reframer preview`.

A PNG has 255 objects at most. When one more comes, a new sequence begins with the frame in which it does (`NAME+2`, and so on: no video's
name has a plus): tracks end at cuts, so few go on in it, and those are objects there, too. Of a frame that alone has more, the most
confident are kept.
"""

from __future__ import annotations

import io
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline.exports import File
from reframer_pipeline.exports.sightings import Sighting, seen
from reframer_pipeline.exports.videos import Video, facts
from reframer_pipeline.handover import StageInput
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.vision import rle

OBJECTS: Final = 255


@dataclass
class _Object:
    """An object of a sequence.

    Attributes:
        number: Its value in the pictures, from 1.
        category: The track's label.
        frames: Where it has a mask, source frames: 4 bytes each are held until `meta.json` is written.
    """

    number: int
    category: str
    frames: array[int]


@dataclass
class _Sequence:
    """A folder of pictures, and its objects by track."""

    name: str
    digits: int
    objects: dict[str, _Object] = field(default_factory=dict)

    def picture(self, frame: int) -> str:
        """The name of a frame."""
        return f"{frame:0{self.digits}d}"


def files(videos: Sequence[Video]) -> Iterator[File]:
    """A PNG for each sampled frame that was masked or holds nothing, and at the end `meta.json`."""
    sequences: list[_Sequence] = []
    for video in videos:
        yield from _pictures(video, sequences)
    yield "meta.json", _meta(sequences)


def _pictures(video: Video, sequences: list[_Sequence]) -> Iterator[File]:
    results = video.open()
    known = facts(results)
    height, width = known["height"], known["width"]
    labels = {
        row["track_id"]: row["label"] for batch in results["trajectories"].batches(["track_id", "label"]) for row in batch.to_pylist()
    }
    part, sequence = 1, _Sequence(video.name, max(5, len(str(known["frame_count"] - 1))))
    sequences.append(sequence)
    for frame, sightings in _sampled(results):
        if sightings and not any(one.mask for one in sightings if one.track):
            continue  # a black picture would say that nothing is there
        tracked = [(one.track[1], one.mask) for one in sightings if one.track and one.mask and one.mask.area][:OBJECTS]
        if len(sequence.objects.keys() | {track for track, _ in tracked}) > OBJECTS:
            part += 1
            sequence = _Sequence(f"{video.name}+{part}", sequence.digits)
            sequences.append(sequence)
        canvas = np.zeros((height, width), np.uint8)
        for track, mask in reversed(tracked):
            left, top, pixels = rle.cropped(mask.rle, height, width)
            object_ = sequence.objects.setdefault(track, _Object(len(sequence.objects) + 1, labels[track], array("i")))
            object_.frames.append(frame)
            canvas[top : top + pixels.shape[0], left : left + pixels.shape[1]][pixels] = object_.number
        yield f"Annotations/{sequence.name}/{sequence.picture(frame)}.png", iter([_png(canvas)])


def _sampled(results: Mapping[str, StageInput]) -> Iterator[tuple[int, list[Sighting]]]:
    """As `seen`, but with the sampled frames that have no detection."""
    found = seen(results)
    upcoming = next(found, None)
    for frame in sampled_times(results["frames"])[0].tolist():
        if upcoming is not None and upcoming[0] == frame:
            yield upcoming
            upcoming = next(found, None)
        else:
            yield frame, []


def _meta(sequences: list[_Sequence]) -> Iterator[bytes]:
    """`{"videos": {NAME: {"objects": {"1": {"category", "frames", "track"}}}}}`, a sequence at a time."""
    yield b'{"videos": {'
    for place, sequence in enumerate(sequences):
        objects = {
            str(one.number): {"category": one.category, "frames": [sequence.picture(frame) for frame in one.frames], "track": track}
            for track, one in sequence.objects.items()
        }
        yield f"{',' if place else ''}\n{json.dumps(sequence.name)}: {json.dumps({'objects': objects})}".encode()
    yield b"\n}}\n"


def _png(canvas: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    image, file = Image.fromarray(canvas), io.BytesIO()
    image.putpalette(_PALETTE)
    image.save(file, "PNG")
    return file.getvalue()


def _palette() -> bytes:
    """The colours of DAVIS, which are those of Pascal VOC: bit 3k + c of the number is bit 7 - k of colour c."""
    return bytes(sum((number >> (3 * k + colour) & 1) << (7 - k) for k in range(8)) for number in range(256) for colour in range(3))


_PALETTE: Final = _palette()
