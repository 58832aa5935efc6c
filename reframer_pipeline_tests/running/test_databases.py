"""A whole video through the pipeline on each kind of database: the rows are what the Parquet objects hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from reframer_pipeline.results.storage import storage_of
from reframer_pipeline.running.run_videos import run_videos
from reframer_pipeline.settings import Settings
from reframer_pipeline_tests.agreement import assert_database_holds_parquet
from reframer_pipeline_tests.computed import add

pytestmark = pytest.mark.models


def test_a_whole_video(database_url: str, settings: Settings, clip: Path, tmp_path: Path) -> None:
    elsewhere = settings.model_copy(update={"database_url": Settings(database_url=database_url).database_url, "store_url": str(tmp_path)})
    shared = storage_of(elsewhere)
    video_id = add(shared, clip)
    (outcome,) = run_videos(elsewhere, [video_id])
    assert outcome.status == "completed", outcome.failure_message
    compared = assert_database_holds_parquet(shared, video_id)
    assert min(compared.values()) >= 1
    assert compared["detections"] == outcome.detections > 10
    shared.close()
