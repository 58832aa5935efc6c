"""Whole videos on a GPU: do videos overlap, and how long does the reference's own clip take (rows G5 and G8 of `benchmarks.gpu`)?

What belongs here: both figures, each a sentence. What does not: the models alone (`gpu`). The demo's are used unless the official weights
lie in REFRAMER_WEIGHTS_DIR: random ones find nothing, and then there is nothing to mask.
"""

from __future__ import annotations

import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Final

from benchmarks.homes import fresh_home
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline.vision.weights import ROLES, path_of

SEED: Final = 3_900_001
VIDEOS: Final = 6
REFERENCE_FRAMES: Final = 765  # 25.5 s of 1080x1920 at 30 frames a second, of which every fifth, 153, is looked at
FPS: Final = Fraction(30)


def settings_for(home: Path, device: str) -> Settings:
    """Official models where their weights are, else the demo's."""
    official = Settings(home=home, device=device, models="official", describer="local")
    there = all(path_of(official, role).is_file() for role in ROLES)
    return official if there else official.model_copy(update={"models": "demo"})


def taken_in(storage: Storage, frames: list[int]) -> list[str]:
    """Drawn videos of so many frames each; their ids."""
    ids = []
    with tempfile.TemporaryDirectory() as folder:
        for number, count in enumerate(frames):
            path = Path(folder) / f"{number}.mp4"
            write_clip(make_clip(SEED + number, width=1080, height=1920, n_frames=count, fps=FPS), path)
            video_id = ingest_file(path, storage.db, storage.store, storage.settings).video_id
            assert video_id is not None
            ids.append(video_id)
    return ids


def timed(settings: Settings, ids: list[str]) -> float:
    """Seconds of the clock until all are completed."""
    began = time.perf_counter()
    outcomes = run_videos(settings, ids)
    assert all(outcome.status == "completed" for outcome in outcomes), outcomes
    return time.perf_counter() - began


def overlap(device: str, frames: int = 300) -> str:
    """G5: several videos beside their slowest stage; 1.0 would say that all other work is hidden behind it."""
    with fresh_home() as home:
        settings = settings_for(home, device)
        storage = storage_of(settings)
        timed(settings, taken_in(storage, [30]))  # loads the models
        ids = taken_in(storage, [frames + number for number in range(VIDEOS)])
        took = timed(settings, ids)
        stages = storage.db.fetch(
            "SELECT stage, sum(seconds) AS seconds FROM results WHERE video_id = ANY(%s) GROUP BY stage ORDER BY 2 DESC", (ids,)
        )
    slowest = stages[0]
    times = took / slowest["seconds"]
    return f"G5 {VIDEOS} videos, {settings.models} models: {times:.2f} times their slowest stage ({slowest['stage']}); aimed at 1.15"


def reference(device: str, frames: int = REFERENCE_FRAMES) -> str:
    """G8: a clip of the size that the reference took 55 s for, on an A10G, without Gemini."""
    with fresh_home() as home:
        settings = settings_for(home, device)
        storage = storage_of(settings)
        timed(settings, taken_in(storage, [30]))
        took = timed(settings, taken_in(storage, [frames]))
    return f"G8 {float(frames / FPS):.1f} s of 1080x1920, {settings.models} models: {took:.1f} s; aimed at 3"
