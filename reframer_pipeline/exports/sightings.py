"""What is on each frame: boxes, tracks and masks of a video brought together, a frame at a time.

What belongs here: joining the stored rows. What does not: what a format makes of them. Boxes and masks are read along with the frames and
never held; of the tracks some 400 bytes a sighting are.

A detection counts if it is no candidate, or if a track has it (a candidate is a weak box that is kept for the tracker alone). Boxes are
pixels of the displayed frame, origin top left, half-open; sizes are taken in single precision, as the database does it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

import numpy as np

from reframer_pipeline.handover import StageInput
from reframer_pipeline.vision.boxes import by_frame
from reframer_pipeline.vision.overlay import tracks_of

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Mask:
    """A mask as it is stored.

    Attributes:
        rle: COCO's compressed counts, of the whole frame.
        area: Pixels set; 0 for a mask of nothing.
    """

    rle: str
    area: int


@dataclass(frozen=True)
class Sighting:
    """One detection that counts.

    Attributes:
        detection_id: Its id.
        object_class: `person` or `product`.
        label: The model's own word.
        confidence: 0 to 1.
        xyxy, xywh: Its box in both forms.
        track: The number in its track's id, and the id; None if it is in no track.
        mask: Its mask; None for a candidate, and where none was asked for.
    """

    detection_id: str
    object_class: str
    label: str
    confidence: float
    xyxy: Box
    xywh: Box
    track: tuple[int, str] | None
    mask: Mask | None


def seen(results: Mapping[str, StageInput], *, masks: bool = True) -> Iterator[tuple[int, list[Sighting]]]:
    """Source frame and its sightings, the most confident first; only frames with detections, in order.

    Args:
        results: A video's results by stage.
        masks: Whether masks are read, by far the most of what is stored; without, no sighting has one.
    """
    tracks = tracks_of(results["trajectories"].batches())
    by_number = _masks(results["masks"]) if masks else iter(())
    upcoming = next(by_number, None)
    for frame in by_frame(results["detections"].batches()):
        here: dict[str, Mask] = {}
        if upcoming is not None and upcoming[0] == frame.frame_number:
            here, upcoming = upcoming[1], next(by_number, None)
        corners, sizes = _shortest(frame.xyxy), _shortest(frame.xyxy[:, 2:] - frame.xyxy[:, :2])
        confidence = _shortest(frame.confidence)
        yield (
            frame.frame_number,
            [
                Sighting(
                    one, frame.object_classes[row], frame.labels[row], confidence[row], tuple(corners[row]),
                    (*corners[row][:2], *sizes[row]), tracks.get(one), here.get(one),
                )
                for row, one in enumerate(frame.detection_ids) if not frame.candidate[row] or one in tracks
            ],
        )  # fmt: skip


def _masks(masks: StageInput) -> Iterator[tuple[int, dict[str, Mask]]]:
    """Source frame and its masks by detection id."""
    columns = ["frame_number", "detection_id", "rle", "area"]
    rows = (row for batch in masks.batches(columns) for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True))
    for number, group in groupby(rows, key=itemgetter(0)):
        yield number, {detection_id: Mask(rle, area) for _, detection_id, rle, area in group}


def _shortest(values: np.ndarray) -> list:
    """Floats of single precision as those with the fewest digits that give them back: 0.92, not 0.9200000166893005."""
    return values.astype(np.str_).astype(np.float64).tolist()
