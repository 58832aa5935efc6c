"""The tags that are written down here without Dagster are those that it reads."""

from __future__ import annotations

from dagster._core.storage import tags as theirs

from reframer_pipeline.orchestration import tags as ours


def test_tags_are_dagsters() -> None:
    names = ours.PARTITION_TAG, ours.PRIORITY_TAG, ours.RUN_KEY_TAG, ours.SENSOR_TAG
    assert names == (theirs.PARTITION_NAME_TAG, theirs.PRIORITY_TAG, theirs.RUN_KEY_TAG, theirs.SENSOR_NAME_TAG)
