"""Claims: one asks, however many could."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor

from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work.run_claims import claim, hand_over
from reframer_pipeline_tests.factories import add_video


def test_one_of_many_has_it_until_it_runs_out(storage: Storage) -> None:
    video_id, _ = add_video(storage, 0)
    with ThreadPoolExecutor(4) as askers:
        got = list(askers.map(lambda number: claim(storage.db, [video_id], f"asker {number}", 60, 10), range(4)))
    assert sorted(got, key=len) == [set(), set(), set(), {video_id}]
    storage.db.execute("UPDATE run_claims SET expires_at = now()")
    assert claim(storage.db, [video_id, str(uuid.uuid4())], "another", 60, 10) == {video_id}
    assert claim(storage.db, [video_id], "another", 60, 10) == {video_id}  # its own


def test_what_came_to_nothing_is_the_sensor_s_and_nobody_else_s(storage: Storage) -> None:
    video_id, _ = add_video(storage, 0)
    claim(storage.db, [video_id], "server", 60, 10)
    hand_over(storage.db, video_id, "server", "sensor", 60)
    assert claim(storage.db, [video_id], "server", 60, 10) == set()
    assert claim(storage.db, [video_id], "sensor", 60, 10) == {video_id}
