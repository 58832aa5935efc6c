"""A deployment of its own for the shell's tests: embedded Postgres, local store, real Dagster instance, demo models."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from reframer_pipeline.database import embedded
from reframer_pipeline.demo.world import make_clip, write_clip
from reframer_pipeline.results.storage import Storage, storage_of
from reframer_pipeline.running.run_videos import VideoOutcome, run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline.uploads.ingest import ingest_file
from reframer_pipeline_tests.processes import is_setting

CLIP_SEED = 2_000_001


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Demo models in a data folder of their own; nothing from the environment leaks in."""
    for name in filter(is_setting, list(os.environ)):
        del os.environ[name]
    for name in ("GEMINI_API_KEY", "GOOGLE_GEMINI_BASE_URL"):
        os.environ.pop(name, None)
    made = Settings(home=tmp_path_factory.mktemp("home"), models="demo", device="cpu")
    yield made
    embedded.stop(made)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds and two shots of the drawn world."""
    path = tmp_path_factory.mktemp("clips") / "drawn.mp4"
    write_clip(make_clip(CLIP_SEED, n_frames=50, shots=2), path)
    return path


@pytest.fixture(scope="session")
def shared(settings: Settings) -> Storage:
    return storage_of(settings)


def add(shared: Storage, path: Path) -> str:
    """Ingest a file and return its video id."""
    result = ingest_file(path, shared.db, shared.store, shared.settings)
    assert result.failure is None, result.failure
    assert result.video_id is not None
    return result.video_id


@pytest.fixture(scope="session")
def done(shared: Storage, clip: Path) -> VideoOutcome:
    """The clip, taken through all six assets once."""
    (outcome,) = run_videos(shared.settings, [add(shared, clip)])
    assert outcome.status == "completed", outcome.failure_message
    return outcome
