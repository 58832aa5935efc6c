"""The mattes of tracks, frame after frame of the source.

What belongs here: prompting the segmenter, taking stored masks, a stretch of frames at a time. What does not: where a track is (`path`),
how masks are steadied (`steady`), films.

Where the masks result has a sighting's mask, that is the matte, as it is. Everywhere else the segmenter is asked, with the track's box
as its prompt. Held are the frames from one sampled frame to the next, `LONGEST` at most, with the masks of one track in them, and some
numbers a sighting and mask.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Final

import numpy as np

from reframer_pipeline.editing.matte.path import Place, TrackPath
from reframer_pipeline.editing.matte.steady import BoolMask, Flow, flow_of, steadied
from reframer_pipeline.editing.source import SourceFrame
from reframer_pipeline.editing.writing import Matte
from reframer_pipeline.handover import StageInput
from reframer_pipeline.vision import rle
from reframer_pipeline.vision.segmenter import Segmenter

LONGEST: Final = 12  # frames of a stretch: 75 MB of full HD


def mattes(
    frames: Iterable[SourceFrame],
    paths: Sequence[TrackPath],
    masks: StageInput,
    sampled: Collection[int],
    segmenter: Segmenter,
    *,
    steady: bool = True,
) -> Iterator[tuple[SourceFrame, Matte]]:
    """The union of some tracks' masks in each frame.

    Args:
        frames: Of the source, in order.
        paths: The tracks.
        masks: The masks result.
        sampled: The sampled frames.
        segmenter: For frames without a stored mask.
        steady: Whether what it finds is steadied; else it is taken as it is.

    Yields:
        Each frame with its matte: 255 inside, 0 outside.
    """
    maker = _Maker(paths, _Stored(masks, {one for path in paths for one in path.detection_ids}), segmenter, steady)
    for stretch in _stretches(frames, sampled):
        yield from maker.of(stretch)


def _stretches(frames: Iterable[SourceFrame], sampled: Collection[int]) -> Iterator[list[SourceFrame]]:
    """Frames up to, and with, the next sampled one."""
    stretch: list[SourceFrame] = []
    for frame in frames:
        stretch.append(frame)
        if frame.number in sampled or len(stretch) == LONGEST:
            yield stretch
            stretch = []
    if stretch:
        yield stretch


class _Stored:
    """The masks of some detections, for frames that are asked for in rising order."""

    def __init__(self, masks: StageInput, detections: Collection[str]) -> None:
        columns = ["frame_number", "detection_id", "rle"]
        rows = (row for batch in masks.batches(columns) for row in zip(*(batch.column(name).to_pylist() for name in columns), strict=True))
        self._groups = groupby((row for row in rows if row[1] in detections), key=itemgetter(0))
        self._next = self._taken()

    def at(self, frame: int) -> dict[str, str]:
        """Run lengths by detection id."""
        while self._next is not None and self._next[0] < frame:
            self._next = self._taken()
        return self._next[1] if self._next is not None and self._next[0] == frame else {}

    def _taken(self) -> tuple[int, dict[str, str]] | None:
        group = next(self._groups, None)
        return None if group is None else (group[0], {detection: compressed for _, detection, compressed in group[1]})


@dataclass
class _Maker:
    """Makes the mattes of one stretch after the other, and remembers the last frame. Masks are run lengths, by place among the paths: a
    stretch is held as pictures for one track at a time.
    """

    paths: Sequence[TrackPath]
    stored: _Stored
    segmenter: Segmenter
    steady: bool
    last: tuple[SourceFrame, dict[int, str]] | None = None

    def of(self, stretch: list[SourceFrame]) -> Iterator[tuple[SourceFrame, Matte]]:
        """The mattes of the next frames."""
        places = [{n: place for n, path in enumerate(self.paths) if (place := path.at(one.number, one.seconds))} for one in stretch]
        known = [self._known(one, here) for one, here in zip(stretch, places, strict=True)]
        asked = [{n: place for n, place in here.items() if n not in kept} for here, kept in zip(places, known, strict=True)]
        own = self._segmented(stretch, asked)
        flow = None
        if self.steady and any(own):
            before = [] if self.last is None else [self.last[0]]
            flow = flow_of([one.rgb for one in (*before, *stretch)])
        whole = [np.zeros(one.rgb.shape[:2], np.uint8) for one in stretch]
        last: dict[int, str] = {}
        for n in sorted({n for here in places for n in here}):
            for at, mask in self._track(n, known, own, flow, whole[0].shape).items():
                whole[at][mask] = 255
                if at == len(stretch) - 1:
                    last[n] = rle.encode(mask)[0]
        yield from zip(stretch, whole, strict=True)
        self.last = stretch[-1], last

    def _known(self, frame: SourceFrame, places: dict[int, Place]) -> dict[int, str]:
        masks = self.stored.at(frame.number)
        ids = {n: self._sighting(n, frame, place) for n, place in places.items()}
        return {n: masks[one] for n, one in ids.items() if one in masks}

    def _sighting(self, n: int, frame: SourceFrame, place: Place) -> str:
        """The detection's id if the track is seen in this very frame."""
        path, one = self.paths[n], place.sightings[0]
        return path.detection_ids[one] if path.frames[one] == frame.number else ""

    def _segmented(self, stretch: Sequence[SourceFrame], asked: Sequence[dict[int, Place]]) -> list[dict[int, str]]:
        """What the segmenter finds: as many frames at once as it wants."""
        found: list[dict[int, str]] = [{} for _ in stretch]
        wanted = [at for at, places in enumerate(asked) if places]
        for start in range(0, len(wanted), self.segmenter.frames):
            some = wanted[start : start + self.segmenter.frames]
            prompts = [(stretch[at].rgb, np.stack([place.xyxy for place in asked[at].values()])) for at in some]
            for at, masks in zip(some, self.segmenter.segment(prompts), strict=True):
                found[at] = {n: mask.rle for n, mask in zip(asked[at], masks, strict=True)}
        return found

    def _track(
        self, n: int, known: list[dict[int, str]], own: list[dict[int, str]], flow: Flow | None, size: tuple[int, ...]
    ) -> dict[int, BoolMask]:
        """A track's masks, by place in the stretch. With the frame before, whose mask has been given out, what is steadied has two ends."""
        height, width = size
        first = 0 if self.last is None else 1
        sure = {first + at: rle.decode(one[n], height, width) for at, one in enumerate(known) if n in one}
        found = {first + at: rle.decode(one[n], height, width) for at, one in enumerate(own) if n in one}
        if flow is not None:
            ends = {0: rle.decode(self.last[1][n], height, width)} if self.last is not None and n in self.last[1] else {}
            found = steadied({**ends, **sure}, found, flow, (width, height))
        return {at - first: mask for at, mask in {**sure, **found}.items()}
