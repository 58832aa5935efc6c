"""The preview of a video: the video itself, with what was found drawn in.

What belongs here: bringing source, results and words together. What does not: what is in view when (`vision.moving`), drawing
(`vision.drawing`, `vision.captions`), files (`vision.film`), sheets of single frames (`sheets`).

Every source frame is in it at its own time, with the source's sound: the source is decoded once more, so pictures that were evicted are not
missed. Only GIF leaves frames out, and has no sound. Besides one picture and one sampled frame's masks, 20 bytes a frame and 100 a sighting
are held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from reframer_pipeline import scratch
from reframer_pipeline.handover import Progress, StageInput, no_progress
from reframer_pipeline.media.display import Size
from reframer_pipeline.media.parts import part_of
from reframer_pipeline.media.probe import VideoMetadata
from reframer_pipeline.media.replay import SOUND, make_sound, shown_frames
from reframer_pipeline.media.timecode import Timecode
from reframer_pipeline.reading.sheets import DEMO_MODELS, is_demo
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.stages.scenes import description
from reframer_pipeline.uploads.ingest import local_copy
from reframer_pipeline.vision.boxes import Rgb, by_frame
from reframer_pipeline.vision.captions import CaptionBar
from reframer_pipeline.vision.drawing import annotate
from reframer_pipeline.vision.film import FORMS, FilmKind, Form, encode_film
from reframer_pipeline.vision.moving import FrameTime, Masks, in_view, items
from reframer_pipeline.vision.overlay import ALL, Cursor, Look, masks_by_frame, tracks_of

PROGRESS_FRAMES: Final = 16


@dataclass(frozen=True)
class _Frames:
    """All source frames: when each begins, and which were looked at."""

    pts: npt.NDArray[np.int64]
    seconds: npt.NDArray[np.float64]
    sampled: npt.NDArray[np.bool_]

    def __iter__(self) -> Iterator[FrameTime]:
        return map(FrameTime, range(len(self.pts)), self.seconds.tolist(), self.sampled.tolist())

    def ticks(self) -> Iterator[int]:
        """Times in units of the time base, from 0 and rising: where time stands still, a frame follows the one before by a tick."""
        last = -1
        for pts in (self.pts - self.pts[0]).tolist():
            last = max(pts, last + 1)
            yield last


def write_preview(
    storage: Storage,
    results: Mapping[str, StageInput],
    target: Path,
    kind: FilmKind = "mp4",
    look: Look = ALL,
    progress: Progress = no_progress,
) -> bool:
    """Write the preview.

    Args:
        storage: Where the video is.
        results: Its results by stage, all six.
        target: The file to write.
        kind: Of the file.
        look: What is drawn.
        progress: Told the number of drawn frames, and how many there will be.

    Returns:
        Whether it has the source's sound.

    Raises:
        NothingThere: A track that is to be seen is not there.
        ObjectMissing, StoreUnavailable: The video cannot be read.
        DiskFull, HomeNotWritable: There is no room for it on its way.
        And what `media.replay` and `vision.film.encode_film` raise.
    """
    facts, form = VideoMetadata.from_batch(next(results["metadata"].batches())), FORMS[kind]
    frames = _frames(results["frames"])
    size = _size((facts.width, facts.height), form)
    drawn = _painter(results, facts, frames, size, look)
    folder = storage.settings.scratch_dir
    with scratch.private(folder) as place, scratch.writing(folder), local_copy(facts.sha256, storage.store, place) as path:
        sound = place / f"sound{SOUND}"
        heard = form.sound is not None and make_sound(path, facts, storage.settings, sound)
        whole = part_of(path, facts, 0, len(frames.pts))
        with closing(shown_frames(whole, facts, storage.settings, size=size)) as pictures:
            encode_film(
                _timed(drawn(one.rgb for one in pictures), frames, facts.time_base, progress),
                target,
                form,
                tick_s=facts.time_base,
                lasts_s=float(1 / facts.fps),
                place=place,
                sound=sound if heard else None,
                comment=f"Made by {DEMO_MODELS}" if is_demo(results) else "",
            )
    return heard


def _painter(
    results: Mapping[str, StageInput], facts: VideoMetadata, frames: _Frames, size: Size, look: Look
) -> Callable[[Iterator[Rgb]], Iterator[Rgb]]:
    """Draws on all frames of the video."""
    tracks = tracks_of(results["trajectories"].batches(), None, look.min_sightings, look.track_ids)
    scenes = [row for batch in results["scenes"].batches() for row in batch.to_pylist()]
    caption = _Caption(scenes, Timecode.of(facts.fps, enumerate(frames.seconds.tolist())), is_demo(results), size) if look.caption else None

    def paint(pictures: Iterator[Rgb]) -> Iterator[Rgb]:
        whole, shown = (facts.height, facts.width), (size[1], size[0])
        masks = Masks(Cursor(masks_by_frame(results["masks"].batches())).at, whole, shown) if look.masks else None
        seen = in_view(frames, by_frame(results["detections"].batches()), tracks, [scene["start_frame"] for scene in scenes])
        for picture, (frame, there) in zip(pictures, seen, strict=True):
            if masks:
                masks.look(frame)
            image = annotate(picture, items(there, masks, whole, shown), look.boxes, look.boxes)
            yield caption.below(image, frame) if caption else image

    return paint


class _Caption:
    """What stands below the pictures: the time, and the words of the scene."""

    def __init__(self, scenes: list[dict[str, object]], called: Timecode, is_demo: bool, size: Size) -> None:
        self._scenes = scenes
        self._called, self._mark = called, f" · {DEMO_MODELS}" if is_demo else ""
        self._texts = [description(str(scene["analysis"])) for scene in scenes]
        self._bar = CaptionBar(size, f"00:00:00:000 · frame 0000000 · scene 0000{self._mark}", self._texts)
        self._place = 0

    def below(self, image: Rgb, frame: FrameTime) -> Rgb:
        """The picture with its caption; frames come in order."""
        while self._place + 1 < len(self._scenes) and frame.number >= int(str(self._scenes[self._place + 1]["start_frame"])):
            self._place += 1
        scene = f" · scene {self._scenes[self._place]['scene_number']}" if self._scenes else ""
        head = f"{self._called.at(frame.number, frame.seconds)} · frame {frame.number}{scene}{self._mark}"
        return self._bar.below(image, head, self._texts[self._place] if self._scenes else "")


def _timed(pictures: Iterator[Rgb], frames: _Frames, time_base: Fraction, progress: Progress) -> Iterator[tuple[Fraction, Rgb]]:
    total = len(frames.pts)
    for done, (ticks, picture) in enumerate(zip(frames.ticks(), pictures, strict=True), start=1):
        yield ticks * time_base, picture
        if done % PROGRESS_FRAMES == 0 or done == total:
            progress(done, total)


def _frames(frames: StageInput) -> _Frames:
    columns: tuple[list[npt.NDArray[np.generic]], ...] = ([], [], [])
    for batch in frames.batches(["pts", "timestamp", "sampled"]):
        for column, name in zip(columns, ("pts", "timestamp", "sampled"), strict=True):
            column.append(batch.column(name).to_numpy(zero_copy_only=False))
    pts, seconds, sampled = (np.concatenate(column) for column in columns)
    return _Frames(pts, seconds, sampled)


def _size(displayed: Size, form: Form) -> Size:
    """Of the pictures: made smaller if need be, of even sides."""
    scale = min(1.0, form.longest_side / max(displayed))
    width, height = (max(2, 2 * round(side * scale / 2)) for side in displayed)
    return width, height
