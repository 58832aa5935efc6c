"""Videos that wait for their turn in a command: spoken for while it lives, and no longer."""

from __future__ import annotations

import time
import uuid

from reframer_pipeline.failures import Interrupted
from reframer_pipeline.planning.backlog import waits
from reframer_pipeline.results.storage import Storage
from reframer_pipeline.work import jobs, turns
from reframer_pipeline_tests.factories import add_video, spoken_for

NEVER_S = 3600.0


def make_quiet(storage: Storage, seconds: float) -> None:
    """As if the last sign were so long ago."""
    storage.db.execute("UPDATE processing_jobs SET updated_at = now() - %s * interval '1 second'", (seconds,))


def test_spoken_for_until_the_turn_has_come_or_the_command_ends(storage: Storage) -> None:
    first, second, third = (add_video(storage, seed)[0] for seed in (1, 2, 3))
    with turns.waiting(storage.db, [first, second, third, str(uuid.uuid4()), "no id"], NEVER_S) as has_come:
        assert spoken_for(storage.db) == waits(storage.db).busy == {first, second, third}
        has_come(first)
        has_come(first)
        assert spoken_for(storage.db) == {second, third}
        storage.db.execute("UPDATE processing_jobs SET status = 'failed', failure_code = 'interrupted' WHERE video_id = %s", (third,))
        with turns.waiting(storage.db, [first, second], NEVER_S):  # a second command
            assert spoken_for(storage.db) == {first, second}
        assert spoken_for(storage.db) == {second}
    assert spoken_for(storage.db) == set()
    left = storage.db.fetch("SELECT video_id::text AS id, status FROM processing_jobs")
    assert left == [{"id": third, "status": "failed"}]  # nothing of what is over, but what was found dead stays


def test_a_command_without_a_sign_of_life_holds_nothing(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with turns.waiting(storage.db, [video_id], NEVER_S):
        make_quiet(storage, turns.QUIET_S - 10)
        assert spoken_for(storage.db) == {video_id}
        make_quiet(storage, turns.QUIET_S + 1)
        assert spoken_for(storage.db) == set()


def test_a_command_that_lives_gives_signs(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with turns.waiting(storage.db, [video_id], every_s=0.01):
        make_quiet(storage, turns.QUIET_S + 1)
        until = time.monotonic() + 180
        while not spoken_for(storage.db) and time.monotonic() < until:
            time.sleep(0.01)
        assert spoken_for(storage.db) == {video_id}


def test_the_backlog_leaves_them_alone_and_goes_on_once_the_command_is_dead(storage: Storage) -> None:
    video_id, _ = add_video(storage)
    with turns.waiting(storage.db, [video_id], NEVER_S):
        assert waits(storage.db).busy == {video_id}
        make_quiet(storage, turns.QUIET_S + 1)
        assert waits(storage.db).busy == set()
        (job,) = jobs.open_jobs(storage.db)
        jobs.fail(storage.db, video_id, job["run_id"], Interrupted("The run ended before its first stage."))
        assert waits(storage.db).failed == {}  # it tried nothing: no pause
