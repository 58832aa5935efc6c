"""A procedural world of short clips with exact truth.

Here: what a clip is, its frames with the truth of every visible object, and how it is written as a video. The same seed gives the
same clip, frame by frame and in any order. Not here: who stands where and how they move (`shots`), how that is
drawn (`render`, `looks`, `backdrops`), metrics (`score`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import numpy as np

from reframer_pipeline.demo.render import render_shot
from reframer_pipeline.demo.shots import Shot, make_shot
from reframer_pipeline.vision.encoder import encode_video

TRAINING_SEEDS = range(1, 100_000)
FIRST_EVALUATION_SEED = 1_000_000
MIN_SHOT_FRAMES = 40


@dataclass(frozen=True)
class TruthObject:
    """What is true of one object in one frame.

    Attributes:
        object_id: Unique within the clip; a new shot has new objects.
        object_class: `"person"` or `"product"`.
        label: The finer label, one of `looks.LABELS`.
        visible_fraction: Visible pixels inside the frame over the pixels of the whole object, 0..1.
        xyxy: Box of the visible pixels, in displayed pixels, half-open.
        mask: `(height, width)` bool, the visible pixels.
    """

    object_id: int
    object_class: str
    label: str
    visible_fraction: float
    xyxy: tuple[float, float, float, float]
    mask: np.ndarray


@dataclass(frozen=True)
class Clip:
    """A clip that can be drawn any number of times.

    Attributes:
        seed: Decides everything that the other fields leave open.
        width: Frame width in pixels.
        height: Frame height in pixels.
        fps: Frames per second.
        n_frames: Length in frames.
        cuts: First frame of each later shot, ascending.
    """

    seed: int
    width: int
    height: int
    fps: Fraction
    n_frames: int
    cuts: tuple[int, ...]

    @cached_property
    def _shots(self) -> tuple[Shot, ...]:
        shots: list[Shot] = []
        for number, (start, end) in enumerate(zip((0, *self.cuts), (*self.cuts, self.n_frames), strict=True)):
            rng = np.random.default_rng([self.seed, number])
            first_id = 1 + sum(len(shot.objects) for shot in shots)
            shots.append(make_shot(rng, self.width, self.height, start, end, float(self.fps), first_id))
        return tuple(shots)

    def frame(self, index: int) -> tuple[np.ndarray, list[TruthObject]]:
        """Draw one frame.

        Args:
            index: Zero-based frame index, in presentation order.

        Returns:
            RGB `(height, width, 3)` uint8, and the objects with at least one visible pixel.
        """
        shot = next(shot for shot in self._shots if shot.start <= index < shot.end)
        noise = np.random.default_rng([self.seed, 1_000 + index])
        image, owner, full_areas = render_shot(shot, index, noise)
        truth = []
        for figure in shot.objects:
            mask = owner == figure.object_id
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            if rows.size == 0:
                continue
            xyxy = (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))
            visible = min(1.0, float(mask.sum()) / full_areas[figure.object_id])
            object_class = "person" if figure.label == "person" else "product"
            truth.append(TruthObject(figure.object_id, object_class, figure.label, visible, xyxy, mask))
        return image, truth

    def frames(self) -> Iterator[tuple[np.ndarray, list[TruthObject]]]:
        """Draw all frames in order; see `frame`."""
        return (self.frame(index) for index in range(self.n_frames))


def make_clip(
    seed: int,
    *,
    width: int = 640,
    height: int = 360,
    n_frames: int = 150,
    fps: Fraction = Fraction(25),
    shots: int | None = None,
) -> Clip:
    """Plan a clip; nothing is drawn yet.

    Args:
        seed: `TRAINING_SEEDS` are for training, seeds from `FIRST_EVALUATION_SEED` for evaluation only.
        width: Frame width in pixels, even.
        height: Frame height in pixels, even.
        n_frames: Length in frames.
        fps: Frames per second.
        shots: Number of shots; by default 1 to 3, as the length allows.

    Returns:
        The clip.
    """
    rng = np.random.default_rng([seed, 999_999])
    most = max(1, n_frames // MIN_SHOT_FRAMES)
    count = min(int(rng.integers(1, 4)), most) if shots is None else shots
    spare = n_frames - count * min(MIN_SHOT_FRAMES, n_frames // count)
    extras = np.sort(rng.integers(0, spare + 1, count - 1))
    cuts = tuple(int((i + 1) * min(MIN_SHOT_FRAMES, n_frames // count) + extra) for i, extra in enumerate(extras))
    return Clip(seed, width, height, Fraction(fps), n_frames, cuts)


def write_clip(clip: Clip, path: Path, *, crf: int = 18) -> None:
    """Write a clip as H.264 in mp4.

    Args:
        clip: The clip; its width and height must be even.
        path: The file to write; overwritten if it exists.
        crf: Constant rate factor of x264, lower is better and larger.

    Raises:
        InternalError: ffmpeg refused; the message holds what it said.
    """
    encode_video((image for image, _ in clip.frames()), path, clip.fps, crf=crf, preset="medium", threads=1)


def bundled_clip_path() -> Path:
    """Path of the clip that ships with the package (H.264, 640x360)."""
    return Path(__file__).parent / "clip" / "demo.mp4"
