"""What one matte is: a function of a video, its published results and some choices.

What belongs here: choosing tracks and frames by what people name, and the identity by which a store can keep and find what was made. What
does not: making it (`making`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from reframer_pipeline.editing.matte.path import Span, TrackPath, paths_of
from reframer_pipeline.editing.writing import Shape
from reframer_pipeline.failures import NothingThere
from reframer_pipeline.media.sampled import sampled_times
from reframer_pipeline.results.stored import StoredResult
from reframer_pipeline.settings import Settings
from reframer_pipeline.versions import digest_of
from reframer_pipeline.vision import weights

CODE_VERSION: Final = 1  # raised when mattes come out differently
_TRACKER_RATE: Final = 30  # frames a second that `track_buffer` counts in (`vision.tracker`)
_LOOK: Final = "`reframer show ID` lists tracks, scenes and elements."
Element = tuple[int, int]
"""A scene's number, and the element's place in it; both from 1."""
Stored = Mapping[str, StoredResult]
"""A video's results by stage."""


@dataclass(frozen=True)
class MatteOrder:
    """Everything that a matte follows from.

    Attributes:
        video_id: The video.
        sha256: Of its file.
        results: Stage and result id, of the set of results that it is made from, by stage.
        tracks: Ids of the tracks whose union it is, rising.
        start, stop: Source frames, half-open.
        soften: Pixels in which an edge goes from nothing to all.
        shape: What is written.
        weights: Digest of the segmenter's weights.
        picture_side: That the segmenter sees pictures in, pixels.
        code_version: Of the code that makes it.
    """

    video_id: str
    sha256: str
    results: tuple[tuple[str, str], ...]
    tracks: tuple[str, ...]
    start: int
    stop: int
    soften: float
    shape: Shape
    weights: str
    picture_side: int
    code_version: int = CODE_VERSION

    @property
    def key(self) -> str:
        """SHA-256 (hex) over the canonical JSON of all of it."""
        return digest_of(asdict(self))

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> MatteOrder:
        """The order whose `asdict` went through JSON."""
        results = tuple((stage, result_id) for stage, result_id in values["results"])
        return cls(**{**values, "results": results, "tracks": tuple(values["tracks"]), "shape": Shape(**values["shape"])})


@dataclass(frozen=True)
class Wanted:
    """What a person names.

    Attributes:
        tracks: Ids of tracks.
        elements: Elements, whose tracks are taken.
        scene: Only its frames; without tracks and elements, all tracks in it.
    """

    tracks: Collection[str] = ()
    elements: Collection[Element] = ()
    scene: int | None = None


def order_of(
    results: Stored, settings: Settings, wanted: Wanted, shape: Shape, *,
    soften: float = 0.0, start: int = 0, stop: int | None = None, segmenter: str | None = None,
) -> MatteOrder:  # fmt: skip
    """The order for what a person names.

    Args:
        results: A video's results, as `reading.sheets.published` gives them.
        settings: Which segmenter.
        wanted: Which tracks, in which scene.
        shape: What to write.
        soften: See `MatteOrder`.
        start, stop: Only these source frames.
        segmenter: Digest of its weights; None: of those that the settings name.

    Raises:
        NothingThere: No such track, scene or element; or they have no frame in common.
        WeightsMissing: The segmenter's file is not there.
    """
    scenes = {row["scene_number"]: row for batch in results["scenes"].batches() for row in batch.to_pylist()}
    within = _scene(scenes, wanted.scene) if wanted.scene is not None else None
    low, high = (start, stop) if within is None else (max(start, within[0]), within[1] if stop is None else min(stop, within[1]))
    ids = {*wanted.tracks, *(one for element in wanted.elements for one in _tracks_of(scenes, element))}
    spans = {path.track_id: [_common(span, (low, high)) for span in path.spans] for path in paths(results, ids or None)}
    there = {name: found for name, all_ in spans.items() if (found := [span for span in all_ if span])}
    if not there:
        raise NothingThere("None of these tracks has a frame there.", _LOOK)
    masks = results["masks"].manifest
    return MatteOrder(
        video_id=masks.video_id,
        sha256=masks.components["video"],
        results=tuple(sorted((stage, result.result_id) for stage, result in results.items())),
        tracks=tuple(sorted(there)),
        start=min(span[0] for found in there.values() for span in found),
        stop=max(span[1] for found in there.values() for span in found),
        soften=soften,
        shape=shape,
        weights=segmenter or weights.digest(settings, "segmenter"),
        picture_side=settings.effective_sam2_imgsz,
    )


def paths(results: Stored, tracks: Collection[str] | None = None) -> list[TrackPath]:
    """Where tracks are, frame by frame.

    Args:
        results: A video's results.
        tracks: Their ids; None: all.

    Raises:
        NothingThere: There is no such track.
    """
    rows = [row for batch in results["trajectories"].batches() for row in _rows(batch, tracks)]
    if strange := sorted(set(tracks or ()) - {row["track_id"] for row in rows}):
        raise NothingThere(f"There is no track {strange[0]}.", _LOOK)
    (known,) = next(results["metadata"].batches(["width", "height"])).to_pylist()
    buffer_s = results["trajectories"].manifest.components["settings"]["track_buffer"] / _TRACKER_RATE
    return paths_of(rows, shots(results), sampled_times(results["frames"])[0], buffer_s, (known["width"], known["height"]))


def shots(results: Stored) -> list[Span]:
    """The frames of each shot: a scene is one."""
    batches = results["scenes"].batches(["start_frame", "end_frame"])
    return [(row["start_frame"], row["end_frame"]) for batch in batches for row in batch.to_pylist()]


def _rows(batch: Any, tracks: Collection[str] | None) -> Sequence[dict[str, Any]]:
    """Rows of a batch; sightings become Python values for these tracks alone."""
    import pyarrow as pa

    if tracks is not None:
        batch = batch.filter(pa.array([one in tracks for one in batch.column("track_id").to_pylist()], pa.bool_()))
    found: list[dict[str, Any]] = batch.select(["track_id", "frames"]).to_pylist()
    return found


def _scene(scenes: Mapping[int, dict[str, Any]], number: int) -> Span:
    if number not in scenes:
        raise NothingThere(f"There is no scene {number}; there are {len(scenes)}.", _LOOK)
    return scenes[number]["start_frame"], scenes[number]["end_frame"]


def _tracks_of(scenes: Mapping[int, dict[str, Any]], element: Element) -> list[str]:
    number, place = element
    _scene(scenes, number)
    elements = json.loads(scenes[number]["analysis"])["replaceable_elements"]
    if not 1 <= place <= len(elements):
        raise NothingThere(f"Scene {number} has no element {place}; it has {len(elements)}.", _LOOK)
    if not elements[place - 1]["tracks"]:
        raise NothingThere(f"Element {place} of scene {number} stands for no track: it was named, and not found among them.", _LOOK)
    return [str(one) for one in elements[place - 1]["tracks"]]


def _common(span: Span, limits: tuple[int, int | None]) -> Span | None:
    low, high = max(span[0], limits[0]), span[1] if limits[1] is None else min(span[1], limits[1])
    return (low, high) if low < high else None
