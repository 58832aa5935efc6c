"""The invariants see what is broken: each kind of damage is done by hand, and told."""

from __future__ import annotations

import pytest

from reframer_pipeline.results.storage import Storage
from reframer_pipeline_tests.factories import Maker, add_video, commit_all
from reframer_pipeline_tests.faults.invariants import agreeing, clean

DAMAGE = {
    "are missing in Postgres": "DELETE FROM scene_analysis WHERE scene_number = 2",
    "another content digest": "UPDATE results SET content_digest = repeat('0', 64) WHERE stage = 'masks'",
    "the manifest says": "UPDATE results SET row_count = row_count + 1 WHERE stage = 'frames'",
    "are published": "DELETE FROM published WHERE stage = 'masks'",
    "nothing of it is published": "DELETE FROM published",
}


@pytest.mark.parametrize("told", DAMAGE)
def test_what_does_not_agree_is_told(storage: Storage, told: str) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings, frame_count=12))
    storage.db.execute("UPDATE videos SET status = 'completed'")
    assert not [*agreeing(storage)]
    storage.db.execute(DAMAGE[told])  # type: ignore[arg-type]  # a text of this file
    assert [line for line in agreeing(storage) if told in line]


def test_what_is_left_lying_about_is_told(storage: Storage) -> None:
    video_id, sha = add_video(storage)
    commit_all(storage, video_id, Maker(sha, storage.settings, frame_count=12))
    assert not [*clean(storage)]
    storage.db.execute("INSERT INTO leases SELECT id, gen_random_uuid(), 'gone', now(), now(), now() + interval '1 hour' FROM videos")
    assert [line for line in clean(storage) if "gone still holds" in line]
