"""A matte is made: from the store, through the segmenter, into a file.

What belongs here: the one function that does it, for every face. What does not: its parts. Memory does not grow with the length, but by
some numbers a sighting. The video's file is read, and nothing that is evicted or archived: frame stores and rows in Postgres play no part.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from reframer_pipeline.editing.matte.mattes import mattes
from reframer_pipeline.editing.matte.order import MatteOrder, Stored, paths
from reframer_pipeline.editing.source import read_frames, times_of
from reframer_pipeline.editing.writing import Matte, writing
from reframer_pipeline.failures import ResultsGone
from reframer_pipeline.handover import Progress, no_progress
from reframer_pipeline.media.entry import entered
from reframer_pipeline.media.parts import part_of
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.sampled import all_pts, sampled_times
from reframer_pipeline.planning import orders, result_settings
from reframer_pipeline.reading import sheets
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import local_copy
from reframer_pipeline.vision import models


def published(storage: Storage, video_id: str, result_id: str | None = None) -> Stored:
    """The results of a video that readers see, as they are stored: of a set that was corrected by hand, detections and masks are the
    computed ones, and the tracks say which of them count.

    Args:
        storage: Where they are.
        video_id: The video.
        result_id: One of its sets, by its scenes; None: the one that is published now.

    Raises:
        NotPublished: There are none.
        UnknownVideo: There is no such video.
        ResultsGone: There is no such set, or it is kept no more.
    """
    chosen = sheets.published(storage, video_id) if result_id is None else sheets.results_of(storage, result_id)
    ids = [one.result_id for one in chosen.values()]
    return {one.stage: one for one in storage.results.open_all(ids).values()}


def settings_of(storage: Storage, video_id: str) -> Settings:
    """The settings that a video's mattes are made with: those of its masks, and above them what somebody gave this process.

    Raises:
        UnknownVideo: There is no such video.
    """
    wanted = orders.resolve(storage.db, storage.settings, video_id).settings
    return result_settings.apply(wanted, result_settings.given(storage.settings))


def make_matte(
    storage: Storage, order: MatteOrder, target: Path, progress: Progress = no_progress, *, settings: Settings | None = None
) -> None:
    """Writes a matte. Its file is whole when this returns; who calls gives it its name (`reading.outputs`).

    Args:
        storage: Where the results and the video's file are.
        order: What is wanted.
        target: The file to write. For PNG: a folder that is there, or a zip by its name.
        progress: Told the number of frames that are written, of all.
        settings: The segmenter, the device and the limits, as the order was made with; None: the storage's.

    Raises:
        ResultsGone: The results of the order are not there any more.
        ObjectMissing, StoreUnavailable: The video's file cannot be read.
        DamagedVideo: A frame cannot be decoded any more.
        MediaToolMissing, MediaToolTimeout, InternalError: ffmpeg cannot do its part.
        OutOfMemory: A frame does not fit the device.
        DiskFull, HomeNotWritable: A download of the video has no room.
    """
    settings, results = settings or storage.settings, _opened(storage, order)
    metadata = VideoMetadata.from_batch(next(results["metadata"].batches()))
    chosen, sampled = paths(results, order.tracks), frozenset(sampled_times(results["frames"])[0].tolist())
    segmenter = models.segmenter(settings)
    with local_copy(order.sha256, storage.store, settings.scratch_dir) as path:
        part = entered(part_of(path, metadata, order.start, order.stop), metadata, all_pts(results["frames"]), settings)
        sound = _sound(results, metadata, order)
        times = times_of(results["frames"], order.start, order.stop)
        with (
            writing(order.shape, target, part, metadata, settings, sound) as writer,
            contextlib.closing(read_frames(part, metadata, times, settings, clock=order.shape.is_film)) as frames,
        ):
            for done, (frame, matte) in enumerate(mattes(frames, chosen, results["masks"], sampled, segmenter), start=1):
                writer.write(frame, softened(matte, order.soften))
                progress(done, order.stop - order.start)


def softened(matte: Matte, pixels: float) -> Matte:
    """The matte with edges that go from nothing to all in about so many pixels; 0 leaves it as it is.

    A Gaussian whose deviation is a quarter of that: of a straight edge, 95 % of the way lies within.
    """
    import cv2

    return np.asarray(cv2.GaussianBlur(matte, (0, 0), pixels / 4), np.uint8) if pixels > 0 else matte


def _opened(storage: Storage, order: MatteOrder) -> Stored:
    found = storage.results.open_all([result_id for _, result_id in order.results])
    if len(found) < len(order.results):
        raise ResultsGone("The results that the matte was ordered of are kept no more.", "Order it again.")
    return {one.stage: one for one in found.values()}


def _sound(results: Stored, metadata: VideoMetadata, order: MatteOrder) -> tuple[float, float]:
    """The range in seconds of the container's time: up to the next frame, or to the end of the picture."""
    pts = {number: pts for number, pts, _ in times_of(results["frames"], 0, order.stop + 1) if number in (0, order.start, order.stop)}
    base = metadata.time_base
    end = float(pts[order.stop] * base) if order.stop in pts else float(pts[0] * base) + metadata.duration_seconds
    return float(pts[order.start] * base), end
